/** A topic of a test's own with the counted events of it, and an outbox that takes them. */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { createOutbox } from "@outrider/outbox";
import type { Database } from "@outrider/postgres";
import { countedOn } from "./counted.ts";
import { testKafka } from "./environment.ts";

/** Creates a topic with a new name and what belongs to it. */
export const createCounting = async (partitions = 3) => {
  const name = `test-${randomUUID()}`;
  const topic = defineTopic({ name, partitions });
  await applyTopics(testKafka(), { topics: [topic], profile: "dev" });
  return countingOn(name);
};

/** As `createCounting`, without creating the topic. */
export const countingOn = (topic: string) => {
  const { definition, catalogue, count } = countedOn(topic);
  const outbox = createOutbox(catalogue);
  /** One transaction per event. */
  const write = async (db: Database, key: string, ...counts: number[]): Promise<void> => {
    for (const n of counts) await outbox.transact(db, async (_tx, emit) => emit(count(key, n)));
  };
  return { topic, counted: definition, outbox, create: count, write };
};
