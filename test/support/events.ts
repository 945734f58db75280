/** A topic, an event type and an outbox of a test's own. */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineCatalogue, defineEvent, defineTopic } from "@outrider/event";
import type { Log } from "@outrider/event";
import { createOutbox } from "@outrider/outbox";
import type { Database } from "@outrider/postgres";
import * as v from "valibot";
import { testKafka } from "./environment.ts";

const describeEvent = (topic: string) =>
  defineEvent({
    type: "test.counted",
    version: 1,
    source: "test",
    category: "domain",
    topic,
    data: v.object({ key: v.string(), count: v.number() }),
    key: (data) => data.key,
  });

export type CountedEvent = ReturnType<typeof describeEvent>;

/** Creates a topic with a new name and what belongs to it. */
export const createCounting = async (partitions = 3) => {
  const name = `test-${randomUUID()}`;
  const topic = defineTopic({ name, partitions });
  await applyTopics(testKafka(), { topics: [topic], profile: "dev" });
  return countingOn(name);
};

/** As `createCounting`, without creating the topic. */
export const countingOn = (name: string) => {
  const counted = describeEvent(name);
  const outbox = createOutbox(defineCatalogue([defineTopic({ name })], [counted]));
  const create = (key: string, count: number) =>
    counted.create({ key, count }, { id: randomUUID(), occurredAt: new Date(), sequence: count });
  /** One transaction per event. */
  const write = async (db: Database, key: string, ...counts: number[]): Promise<void> => {
    for (const count of counts) {
      await outbox.transact(db, async (_tx, emit) => emit(create(key, count)));
    }
  };
  return { topic: name, counted, outbox, create, write };
};

const nothing = (): void => {};

export const silentLog: Log = {
  child: () => silentLog,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
