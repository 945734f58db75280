/** An outbox row as a Kafka record: CloudEvents binary mode. */

import { dataschemaOf } from "@outrider/event";
import type { Header, PublishRecord } from "@outrider/event";
import type { PendingRow } from "./read.ts";

/** Every header costs about 1.3 us in the client, most of it for making the buffer: keep those. */
const constantsMax = 1000;
const constants = new Map<string, Header>();

// What other writers have put there may be no text; it is shown as it stands in the row.
const header = (name: string, value: unknown): Header => ({
  [name]: Buffer.from(typeof value === "string" ? value : JSON.stringify(value)),
});

/** For names whose values are few, such as types and sources. */
const constant = (name: string, value: unknown): Header => {
  const id = `${name}\n${value}`;
  const known = constants.get(id);
  if (known) return known;
  if (constants.size >= constantsMax) constants.clear();
  const made = header(name, value);
  constants.set(id, made);
  return made;
};

const constantNames = new Set(["ce_source", "ce_category", "ce_tenant", "content-type"]);

/** The same row gives the same bytes whenever and by whomever it is published. */
export const recordOf = (row: PendingRow): PublishRecord => {
  const stored = (JSON.parse(row.headers) ?? {}) as Record<string, unknown>;
  const headers = attributesOf(row);
  for (const name in stored) {
    const value = stored[name];
    headers.push(constantNames.has(name) ? constant(name, value) : header(name, value));
  }
  const { topic, key, payload: value } = row;
  return { topic, key, value, headers, timestampMs: timestampOf(stored, row) };
};

/** Raw rows, and those of writers in other languages, need not say when it happened. */
const timestampOf = (stored: Record<string, unknown>, row: PendingRow): number => {
  const occurredMs = Date.parse(String(stored.ce_time));
  return Number.isNaN(occurredMs) ? row.createdMs : occurredMs;
};

const attributesOf = (row: PendingRow): Header[] => {
  // A raw record's headers are complete as they are.
  if (row.type === null || row.version === null) return [];
  const attributes: Header[] = [
    constant("ce_specversion", "1.0"),
    constant("ce_type", row.type),
    constant("ce_dataschema", dataschemaOf(row.type, row.version)),
    { ce_id: row.eventId },
    { ce_subject: row.key },
  ];
  if (row.sequence !== null) attributes.push({ ce_sequence: row.sequence });
  return attributes;
};
