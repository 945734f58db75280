/** The record of a dead-letter topic: the original, and in headers what became of it. */

import { deadLetterTopicName } from "@outrider/event";
import type { KafkaRecord, RawRecord } from "@outrider/event";
import type { TransactionSql } from "@outrider/postgres";
import type { Classified } from "../classify.ts";

/** Writes a record in a transaction, to be published once that is committed. */
export type WriteRecord = (tx: TransactionSql, record: RawRecord) => Promise<void>;

export type GivenUp = Readonly<{
  handler: string;
  group: string;
  eventId: string;
  /** Of the record, or what stands for it. */
  key: Uint8Array;
  record: KafkaRecord;
  attempts: number;
  failure: Classified;
  fingerprint: string;
}>;

/** Longer messages are cut: the letter has them whole. */
const messageCharsMax = 4000;

/** Kafka's `__dlq.errors` names where there are any, and ours for the rest. */
export const deadLetterRecord = (given: GivenUp): RawRecord => {
  const { record, failure, key } = given;
  const original = record.headers.flatMap((header) => Object.entries(header));
  return {
    topic: deadLetterTopicName(record.topic),
    key,
    value: record.value ?? new Uint8Array(),
    headers: [
      ...original,
      ["__dlq.errors.topic", record.topic],
      ["__dlq.errors.partition", String(record.partition)],
      ["__dlq.errors.offset", String(record.offset)],
      ["__dlq.errors.group", given.group],
      ["__dlq.errors.delivery.count", String(given.attempts)],
      ["__dlq.errors.message", failure.message.slice(0, messageCharsMax)],
      ["__dlq.outrider.handler", given.handler],
      ["__dlq.outrider.event.id", given.eventId],
      ["__dlq.outrider.category", failure.kind],
      ["__dlq.outrider.code", failure.code],
      ["__dlq.outrider.fingerprint", given.fingerprint],
      ["__dlq.outrider.timestamp", String(record.timestampMs)],
      // Kafka tells nothing from empty, the outbox does not.
      ...(record.value === null ? [["__dlq.outrider.value", "null"] as const] : []),
    ],
  };
};
