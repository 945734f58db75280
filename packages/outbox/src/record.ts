/** An outbox row as a Kafka record: CloudEvents binary mode. */

import { dataschemaOf } from "@outrider/event";
import type { Header, PublishRecord } from "@outrider/event";
import type { PendingRow } from "./read.ts";

/** Every header costs about 1.3 us in the client, most of it for making the buffer: keep those. */
const constantsMax = 1000;
const constants = new Map<string, Header>();

const header = (name: string, value: string): Header => ({ [name]: Buffer.from(value) });

/** For names whose values are few, such as types and sources. */
const constant = (name: string, value: string): Header => {
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
export const recordOf = (row: PendingRow): PublishRecord => ({
  topic: row.topic,
  key: row.key,
  value: row.payload,
  headers: [...attributesOf(row), ...Object.entries(row.headers).map(stored)],
  timestampMs: timestampOf(row),
});

/** Raw rows, and those of writers in other languages, need not say when it happened. */
const timestampOf = (row: PendingRow): number => {
  const occurredMs = Date.parse(row.headers.ce_time ?? "");
  return Number.isNaN(occurredMs) ? Number(row.created_ms) : occurredMs;
};

const stored = ([name, value]: [string, string]): Header =>
  constantNames.has(name) ? constant(name, value) : header(name, value);

const attributesOf = (row: PendingRow): Header[] => {
  // A raw record's headers are complete as they are.
  if (row.type === null || row.version === null) return [];
  const attributes = [
    constant("ce_specversion", "1.0"),
    constant("ce_type", row.type),
    constant("ce_dataschema", dataschemaOf(row.type, row.version)),
    header("ce_id", row.event_id),
    { ce_subject: row.key },
  ];
  if (row.sequence !== null) attributes.push(header("ce_sequence", row.sequence));
  return attributes;
};
