/** What schemathesis is told of the APIs beyond their documents, as its own configuration. */

export type Untold = Readonly<{
  /** Why a request that is right by the document may be refused all the same. */
  why: string;
  status: number;
  operations: readonly string[];
}>;

export const untold: readonly Untold[] = [
  {
    why: "A cursor is one that the same list has given; a document can say its form only.",
    status: 400,
    operations: [
      ...["listAudit", "listDeadLetters", "listKeys", "listOperations", "listParked"],
      ...["listParkedEvents", "listPartitions", "listRedrives", "listReplays"],
    ],
  },
  { why: "The same, in the shop.", status: 422, operations: ["listCustomerOrders"] },
  {
    why: "An Idempotency-Key goes with one body.",
    status: 422,
    operations: ["placeOrder", "cancelOrder"],
  },
  {
    why: "Fields exclude or need each other, or an empty filter needs `all`.",
    status: 422,
    operations: [
      ...["changeParked", "createRedrive", "discardLetters", "redriveLetter", "resumePartitions"],
    ],
  },
];

/** Bun refuses long headers with 431 before the API sees the request. */
const accepted = ["2xx", "3xx", "401", "403", "404", "409", "429", "431", "5xx"];

const checkOf = (statuses: readonly string[]): string =>
  `positive_data_acceptance.expected-statuses = ${JSON.stringify(statuses)}`;

/** The text of its `schemathesis.toml`. A failure of the server is found by another check. */
export const configText = (): string =>
  [
    "[checks]",
    'negative_data_rejection.expected-statuses = ["4xx", "5xx"]',
    checkOf(accepted),
    ...untold.flatMap(({ operations, status, why }) => [
      "",
      `# ${why}`,
      "[[operations]]",
      `include-operation-id = ${JSON.stringify(operations)}`,
      `checks.${checkOf([...accepted, String(status)])}`,
    ]),
  ].join("\n");
