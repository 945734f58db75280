/** What `outrider dev` runs in this repository: plain data, the only place that lists it. */

export type AppSpec = Readonly<{
  name: string;
  /** Node for whatever holds the Confluent client, Bun for the rest. */
  runtime: "bun" | "node";
  /** Path of the entry from the root. */
  entry: string;
  /** For the runtime itself. */
  flags?: readonly string[];
  /** It asks for a key. */
  isGuarded?: boolean;
  /** Where it listens; another free port when this one is taken. */
  port: number;
}>;

export const apps: readonly AppSpec[] = [
  { name: "shop", runtime: "bun", entry: "apps/shop/src/http.ts", port: 3000 },
  {
    name: "relay",
    runtime: "node",
    entry: "apps/relay/src/main.ts",
    // MiB: room for what is in flight, so that it dies young, and a bound (docs/operations.md).
    flags: ["--max-semi-space-size=32", "--max-old-space-size=256"],
    port: 9101,
  },
  { name: "ops", runtime: "bun", entry: "apps/ops/src/http.ts", port: 3001, isGuarded: true },
  // Stands for services of others, which the shop calls.
  { name: "outside", runtime: "bun", entry: "apps/outside/src/main.ts", port: 9190 },
  {
    name: "shop-worker",
    runtime: "node",
    entry: "apps/shop/src/worker.ts",
    // MiB: a bound, since records that wait for their handlers are held.
    flags: ["--max-semi-space-size=32", "--max-old-space-size=512"],
    port: 9102,
  },
];

/** Modules that export `topics`; loaded by path, since apps never import apps. */
export const topicModules: readonly string[] = ["apps/shop/src/topics.ts"];

/**
 * Apps with handlers: `parts` exports `describeHandlers`, and `entry` runs a replay of one of them,
 * on Node as a worker does.
 */
export const replayApps = [
  { parts: "apps/shop/src/worker-parts.ts", entry: "apps/shop/src/replay.ts" },
] as const;

/** The package whose copy of the Confluent client the Node processes load. */
export const kafkaClientImporter = "packages/kafka/package.json";

export const migrationsFolder = "drizzle";

/** Something to try when everything runs: a path of the first app, and a body. */
export const example = {
  path: "/v1/orders",
  body: {
    customerId: "ada",
    currency: "EUR",
    lines: [{ sku: "tea-1", quantity: 2, unitPriceMinor: 450 }],
  },
} as const;
