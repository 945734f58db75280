/** The services that tests run against; `bun run test` starts them and says where they are. */

import type { KafkaConnection } from "@outrider/event";

/** Throws one sentence when KAFKA_BOOTSTRAP_SERVERS is missing. */
export const testKafka = (): KafkaConnection => {
  const bootstrapServers = process.env.KAFKA_BOOTSTRAP_SERVERS;
  if (!bootstrapServers) {
    throw new Error(
      "KAFKA_BOOTSTRAP_SERVERS must name a Kafka for tests; `bun run test` starts one",
    );
  }
  return { bootstrapServers };
};

/** Throws one sentence when REDIS_URL is missing. */
export const testRedisUrl = (): string => {
  const url = process.env.REDIS_URL;
  if (!url) throw new Error("REDIS_URL must name a Redis for tests; `bun run test` starts one");
  return url;
};

/** The environment that a test's child process starts from. */
export const testEnvironment = (): Readonly<Record<string, string | undefined>> => process.env;

/** How many threads libuv's pool gets, where nothing has used it yet: Node reads this then. */
export const setPoolThreads = (threads: number): void => {
  process.env.UV_THREADPOOL_SIZE = String(threads);
};
