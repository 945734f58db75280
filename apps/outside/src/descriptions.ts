/** What the OpenAPI document of the stand-in says, and what it may be told. */

import { about, headersTooLarge, idempotencyKeyParameter, jsonResponse } from "@outrider/http";
import { named, problemDescription, retryAfter } from "@outrider/http";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";

export const info = {
  title: "Outrider's stand-in",
  version: "1.0.0",
  description:
    "Stands for a service that belongs to somebody else: it sends receipts, and fails when it is " +
    "told to. What it holds lives as long as its process. No key is needed.",
};

export const tags = [
  { name: "Receipts", description: "What a handler with effects outside calls." },
  { name: "Failures", description: "How the service is to fail, so that one can watch retries." },
];

const whole = (min: number, max: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));

export const failures = named(
  v.strictObject({
    status: about(whole(300, 599), "The status of the next answers; 3xx leads to a page with 200"),
    count: about(whole(0, 1_000_000), "How many of them; 0: it is well again"),
    retryAfterS: about(v.optional(whole(0, 86_400)), "Seconds in their Retry-After, where wanted"),
  }),
  {
    name: "Failures",
    description: "How the next requests for receipts fail.",
    examples: [{ status: 503, count: 5 }],
  },
);

export type Failures = v.InferOutput<typeof failures>;

const receipt = named(
  v.strictObject({
    key: about(v.string(), "Its Idempotency-Key: the id of the event", "order-4711"),
    body: about(v.unknown(), "What was sent", { orderId: "order-4711", totalMinor: 900 }),
  }),
  { name: "Receipt", description: "A receipt that was sent." },
);

const receiptList = named(
  v.strictObject({
    requests: about(v.pipe(v.number(), v.integer()), "How often one was asked for", 3),
    receipts: about(v.array(receipt), "What was sent, each key once"),
  }),
  { name: "ReceiptList", description: "What the service has done since it started." },
);

const sent = named(
  v.strictObject({ sent: about(v.boolean(), "False: it had been sent before", true) }),
  { name: "Sent", description: "The receipt is sent." },
);

const jsonBody = (schema: v.GenericSchema) => ({
  required: true,
  content: { "application/json": { schema: resolver(schema) } },
});

const wanted = named(v.record(v.string(), v.unknown()), {
  name: "WantedReceipt",
  description: "What the receipt is about: any JSON is taken.",
  examples: [{ orderId: "order-4711", customerId: "ada", currency: "EUR", totalMinor: 900 }],
});

/** Any status; the two that say when to try again are named, since docs pages know no ranges. */
const toldToFail = "It was told to fail";
const slow = { 504: problemDescription(504, "It took too long") };
const large = { 413: problemDescription(413, "The body is too large") };

export const describeSend = describeRoute({
  operationId: "sendReceipt",
  tags: ["Receipts"],
  summary: "Send a receipt",
  description: "One key is one receipt, however often it is asked for.",
  parameters: [{ ...idempotencyKeyParameter, required: true, example: "order-4711" }],
  requestBody: jsonBody(wanted),
  responses: {
    200: jsonResponse("It had been sent before", sent),
    201: jsonResponse("It is sent", sent),
    400: problemDescription(400, "The Idempotency-Key is missing, or the body is not JSON"),
    ...large,
    ...headersTooLarge,
    ...slow,
    "3XX": { description: "It was told to lead somewhere else" },
    429: problemDescription(429, toldToFail, retryAfter),
    503: problemDescription(503, toldToFail, retryAfter),
    "4XX": problemDescription(429, toldToFail, retryAfter),
    "5XX": problemDescription(503, toldToFail, retryAfter),
  },
});

export const describeReceipts = describeRoute({
  operationId: "listReceipts",
  tags: ["Receipts"],
  summary: "List receipts",
  description: "All that were sent since the service started. This never fails.",
  responses: {
    200: jsonResponse("The receipts", receiptList),
    ...headersTooLarge,
    ...slow,
  },
});

export const describeFailures = describeRoute({
  operationId: "setFailures",
  tags: ["Failures"],
  summary: "Tell the service to fail",
  description: "The next `count` requests for a receipt are answered with `status`.",
  requestBody: jsonBody(failures),
  responses: {
    200: jsonResponse("So it will be", failures),
    400: problemDescription(400, "The body is not JSON"),
    ...large,
    422: problemDescription(422, "Fields are invalid"),
    ...headersTooLarge,
    ...slow,
  },
});
