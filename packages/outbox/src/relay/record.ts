/** An outbox row as a Kafka record: CloudEvents binary mode. */

import { dataschemaOf } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";
import { headersOf } from "@outrider/postgres";
import type { HeaderPair } from "@outrider/postgres";
import type { PendingRow } from "./read.ts";

type RecordHeader = PublishRecord["headers"][number];

/**
 * Headers cost more than anything else of a record: those with few values are built once. What
 * differs from event to event is given as text, which the client takes faster than a buffer.
 */
const constantsMax = 1000;
const constants = new Map<string, Map<unknown, RecordHeader>>(
  ["ce_source", "ce_category", "ce_tenant", "content-type"].map((name) => [name, new Map()]),
);

// What other writers have put there may be no text; it is shown as it stands in the row.
const textOf = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);

const header = (name: string, value: unknown): RecordHeader => {
  const known = constants.get(name);
  if (!known) return { [name]: textOf(value) };
  const found = known.get(value);
  if (found) return found;
  if (known.size >= constantsMax) known.clear();
  const made = { [name]: Buffer.from(textOf(value)) };
  known.set(value, made);
  return made;
};

const specversion = { ce_specversion: Buffer.from("1.0") };
const schemas = new Map<string, Map<number, readonly RecordHeader[]>>();

/** The headers that follow from type and version. */
const schemaOf = (type: string, version: number): readonly RecordHeader[] => {
  if (schemas.size >= constantsMax) schemas.clear();
  const versions = schemas.get(type) ?? new Map<number, readonly RecordHeader[]>();
  schemas.set(type, versions);
  const found = versions.get(version);
  if (found) return found;
  const made: RecordHeader[] = [
    specversion,
    { ce_type: Buffer.from(type) },
    { ce_dataschema: Buffer.from(dataschemaOf(type, version)) },
  ];
  versions.set(version, made);
  return made;
};

/** The same row gives the same bytes whenever and by whomever it is published. */
export const recordOf = (row: PendingRow): PublishRecord => {
  const stored = (JSON.parse(row.headers) ?? {}) as Record<string, unknown> | HeaderPair[];
  if (Array.isArray(stored)) return rawRecordOf(row, stored);
  const headers = attributesOf(row);
  for (const name in stored) headers.push(header(name, stored[name]));
  const { topic, key, payload: value } = row;
  return { topic, key, value, headers };
};

/** `writeRecord`'s: order, repetition and bytes of its headers are as they were. */
const rawRecordOf = (row: PendingRow, pairs: readonly HeaderPair[]): PublishRecord => {
  const { topic, key, payload: value } = row;
  return { topic, key, value, headers: headersOf(pairs) };
};

const attributesOf = (row: PendingRow): RecordHeader[] => {
  // A raw record's headers are complete as they are.
  if (row.type === null || row.version === null) return [];
  const attributes: RecordHeader[] = [
    ...schemaOf(row.type, row.version),
    { ce_id: row.eventId },
    { ce_subject: row.key },
  ];
  if (row.sequence !== null) attributes.push({ ce_sequence: row.sequence });
  return attributes;
};
