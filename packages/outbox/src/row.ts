/** An event as an outbox row, checked: nothing gets in that Kafka or a reader would refuse. */

import { assertEnvelope, fault, occurredMsOf, rowHeaders } from "@outrider/event";
import type { Catalogue, Envelope } from "@outrider/event";
import type { OutboxRow } from "./insert.ts";

/**
 * What Kafka adds to a record and the relay adds to its headers, generously: seven derived headers
 * with names and values, lengths, and the batch's own frame.
 */
const frameBytes = 1024;

export type RowRules = Readonly<{
  catalogue: Catalogue;
  /** The writer's clock, milliseconds since 1970. */
  nowMs(): number;
  /** How far ahead of that clock an event may say that it occurred. */
  occurredAheadMaxMs: number;
}>;

/** Throws `event_unknown`, `topic_unknown`, `event_invalid` or `event_too_large`. */
export const rowOf = (rules: RowRules, event: Envelope): OutboxRow => {
  const { catalogue } = rules;
  const definition = catalogue.definitionOf(event.type, event.version);
  const topic = catalogue.topicOf(definition.topic);
  const data = definition.parse(event.data);
  assertEnvelope(event);
  assertOccurred(event, rules);
  const key = Buffer.from(event.key);
  const payload = Buffer.from(encoded(event.type, data));
  const headers = JSON.stringify(rowHeaders(event));
  const bytes = key.length * 2 + payload.length + Buffer.byteLength(headers) + frameBytes;
  if (bytes > topic.maxMessageBytes) {
    throw fault("event_too_large", `${event.type} is larger than its topic takes`, {
      details: { bytes, maxMessageBytes: topic.maxMessageBytes, topic: topic.name },
    });
  }
  return {
    eventId: event.id,
    type: event.type,
    version: event.version,
    sequence: event.sequence ?? null,
    topic: topic.name,
    key,
    headers,
    payload,
  };
};

const encoded = (type: string, data: unknown): string => {
  try {
    const json: string | undefined = JSON.stringify(data);
    if (json !== undefined) return json;
    throw new TypeError("Nothing, functions and symbols have no JSON");
  } catch (cause) {
    throw fault("event_invalid", `The data of ${type} cannot be written as JSON`, { cause });
  }
};

/** Any time back is taken: a backfill writes what occurred long ago. */
const assertOccurred = (
  { type, occurredAt }: Envelope,
  { nowMs, occurredAheadMaxMs }: RowRules,
): void => {
  const occurredMs = occurredMsOf(occurredAt);
  if (occurredMs === undefined) {
    throw fault(
      "event_invalid",
      `${type} has an invalid occurredAt: it must be a UTC RFC 3339 time`,
    );
  }
  if (occurredMs - nowMs() <= occurredAheadMaxMs) return;
  throw fault("event_invalid", `${type} says that it occurred in the future: ${occurredAt}`);
};
