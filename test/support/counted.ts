/** The smallest event type, for tests: the n-th thing that happened to a key. */

import { randomUUID } from "node:crypto";
import { dataschemaOf, defineCatalogue, defineEvent, defineTopic } from "@outrider/event";
import { rowHeaders } from "@outrider/event";
import type { Catalogue, Envelope, EventDefinition, EventOf, KafkaRecord } from "@outrider/event";
import * as v from "valibot";

const data = v.object({ key: v.string(), n: v.number(), text: v.optional(v.string()) });

export type CountedDefinition = EventDefinition<"test.counted", typeof data>;
export type Counted = EventOf<CountedDefinition>;

/** `occurredAt`: as its writer says. */
export type HowCounted = Readonly<{ text?: string; occurredAt?: Date; version?: 1 | 2 }>;

export type CountedEvents = Readonly<{
  definition: CountedDefinition;
  /** A version that handlers of `definition` do not know. */
  second: CountedDefinition;
  catalogue: Catalogue;
  /** The n-th event of a key; `text` makes it as large as a test needs. */
  count(key: string, n: number, how?: string | HowCounted): Counted;
}>;

/** An event type on a topic of its own, which may take less than an app may declare. */
export const countedOn = (topic: string, maxMessageBytes?: number): CountedEvents => {
  const define = (version: number) =>
    defineEvent({
      ...{ type: "test.counted", version, source: "test", category: "domain", topic, data },
      key: (counted) => counted.key,
    });
  const [definition, second] = [define(1), define(2)];
  const ordinary = defineTopic({ name: topic });
  const spec = { ...ordinary, maxMessageBytes: maxMessageBytes ?? ordinary.maxMessageBytes };
  return {
    definition,
    second,
    catalogue: defineCatalogue([spec], [definition, second]),
    count: (key, n, how) => {
      const {
        text,
        occurredAt = new Date(),
        version = 1,
      } = typeof how === "string" ? { text: how } : (how ?? {});
      return (version === 1 ? definition : second).create(
        { key, n, ...(text !== undefined && { text }) },
        { id: randomUUID(), occurredAt, sequence: n },
      );
    },
  };
};

/** The record that an event becomes, at a place in a log. */
export const recordAt = (
  event: Envelope,
  at: Readonly<{ topic: string; offset: number; partition?: number }>,
): KafkaRecord => {
  const headers: Record<string, string> = {
    ce_id: event.id,
    ce_type: event.type,
    ce_dataschema: dataschemaOf(event.type, event.version),
    ...(event.sequence !== undefined && { ce_sequence: `${event.sequence}` }),
    ...rowHeaders(event),
  };
  return {
    partition: 0,
    ...at,
    timestampMs: Date.parse(event.occurredAt),
    key: Buffer.from(event.key),
    value: Buffer.from(JSON.stringify(event.data)),
    headers: Object.entries(headers).map(([name, value]) => ({ [name]: Buffer.from(value) })),
  };
};

/** The Fault's code, at the top or as the cause of what drizzle wraps around it. */
export const codeOf = (error: unknown): unknown => {
  for (let one = error; one instanceof Error; one = one.cause) {
    if ("code" in one && typeof one.code === "string") return one.code;
  }
  return undefined;
};

/** What a promise was rejected with; throws when it was not. */
export const failureOf = async (promise: Promise<unknown>): Promise<unknown> => {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`It resolved, with ${JSON.stringify(value)}`);
};
