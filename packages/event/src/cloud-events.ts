/**
 * CloudEvents 1.0 on Kafka in binary mode: attributes are record headers with the prefix `ce_`,
 * the value is the data. Header names are ours to extend, see docs/design.md.
 */

import { isAttribute, versionMax } from "./attributes.ts";
import { categories } from "./envelope.ts";
import type { Category, Envelope, EventHeaders } from "./envelope.ts";
import { fault } from "./fault.ts";
import type { Header, KafkaRecord } from "./ports.ts";

/** The only schemas that say a version of ours: other producers have schemas of their own. */
export const dataschemaOf = (type: string, version: number): string =>
  `outrider:schemas/${type}/${version}`;

/**
 * The headers that differ from event to event and have no column of their own in the outbox. The
 * rest (`ce_id`, `ce_type`, `ce_subject`, `ce_dataschema`, `ce_sequence`) follows from columns.
 */
export const rowHeaders = (event: Envelope): Record<string, string> => ({
  ce_source: event.source,
  ce_category: event.category,
  ce_time: event.occurredAt,
  "content-type": "application/json",
  ...(event.headers.correlationId && { ce_correlationid: event.headers.correlationId }),
  ...(event.headers.causationId && { ce_causationid: event.headers.causationId }),
  ...(event.headers.tenant && { ce_tenant: event.headers.tenant }),
  ...(event.headers.traceparent && { traceparent: event.headers.traceparent }),
});

// A byte order mark is part of the text: without it, it would be another key.
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// A parser of JSON may ignore the mark (RFC 8259), which some producers write.
const json = new TextDecoder("utf-8", { fatal: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** Those of other producers' may hold anything. */
const understood = new Set([
  "ce_id",
  "ce_type",
  "ce_source",
  "ce_time",
  "ce_dataschema",
  "ce_category",
  "ce_sequence",
]);

/** These go on into the events that an event leads to, and say nothing about itself. */
const passedOn = new Set(["ce_correlationid", "ce_causationid", "ce_tenant", "traceparent"]);

/**
 * The headers that this project writes, as text, the last one of a name winning. Throws
 * `undecodable` where one that tells of the event is not UTF-8. One that is passed on and could not
 * be written again is empty: no event is given up, and no handler fails, for another's trace.
 */
export const headerTexts = (headers: readonly Header[]): Record<string, string> => {
  const texts: Record<string, string> = {};
  for (const header of headers) {
    for (const name in header) {
      const bytes = header[name] ?? new Uint8Array();
      if (understood.has(name)) texts[name] = decodeText(bytes, name);
      if (passedOn.has(name)) texts[name] = attributeOf(bytes);
    }
  }
  return texts;
};

/**
 * Reads a record's attributes and JSON data, without a schema. `id` is as it stands in `ce_id`: it
 * need not be a UUID when the event is foreign. A null key becomes the id.
 * Throws `undecodable`.
 */
export const decodeRecord = (record: KafkaRecord): Envelope => {
  const headers = headerTexts(record.headers);
  const { ce_id: id, ce_type: type, ce_source: source, ce_time: time } = headers;
  if (!id || !type || !source) {
    throw fault("undecodable", "The record lacks ce_id, ce_type or ce_source");
  }
  return {
    id,
    type,
    version: versionOf(type, headers.ce_dataschema),
    source,
    category: categoryOf(headers.ce_category),
    key: record.key ? decodeText(record.key, "key") : id,
    occurredAt: isTime(time) ? time : new Date(record.timestampMs).toISOString(),
    data: decodeJson(record.value),
    headers: chainOf(headers),
    ...sequenceOf(headers.ce_sequence),
  };
};

/** Type and version alone; undefined when the headers do not tell them. */
export const readType = (
  headers: readonly Header[],
): Readonly<{ type: string; version: number }> | undefined => {
  let type: string | undefined;
  let dataschema: string | undefined;
  for (const header of headers) {
    if (header.ce_type) type = lenient.decode(header.ce_type);
    if (header.ce_dataschema) dataschema = lenient.decode(header.ce_dataschema);
  }
  return type === undefined ? undefined : { type, version: versionOf(type, dataschema) };
};

const chainOf = (headers: Record<string, string>): EventHeaders => ({
  ...(headers.traceparent && { traceparent: headers.traceparent }),
  ...(headers.ce_correlationid && { correlationId: headers.ce_correlationid }),
  ...(headers.ce_causationid && { causationId: headers.ce_causationid }),
  ...(headers.ce_tenant && { tenant: headers.ce_tenant }),
});

/** Empty, which is absent, where it is not what an attribute may be. */
const attributeOf = (bytes: Uint8Array): string => {
  try {
    const decoded = text.decode(bytes);
    return isAttribute(decoded) ? decoded : "";
  } catch {
    return "";
  }
};

const decodeText = (bytes: Uint8Array, what: string): string => {
  try {
    return text.decode(bytes);
  } catch (cause) {
    throw fault("undecodable", `The record's ${what} is not UTF-8`, { cause });
  }
};

const decodeJson = (value: Uint8Array | null): unknown => {
  if (value === null) throw fault("undecodable", "The record has no value");
  try {
    return JSON.parse(json.decode(value));
  } catch (cause) {
    throw fault("undecodable", "The record's value is not JSON", { cause });
  }
};

/**
 * 1 where the schema is a foreign one, whatever it ends in: it says no version of ours. 0, which is
 * nobody's version, where it is ours and says none that can be.
 */
export const versionOf = (type: string, dataschema: string | undefined): number => {
  const prefix = dataschemaOf(type, 0).slice(0, -1);
  if (!dataschema?.startsWith(prefix)) return 1;
  const digits = dataschema.slice(prefix.length);
  const version = /^[1-9]\d{0,9}$/.test(digits) ? Number(digits) : 0;
  return version <= versionMax ? version : 0;
};

const isTime = (time: string | undefined): time is string =>
  time !== undefined && !Number.isNaN(Date.parse(time));

const sequenceOf = (sequence: string | undefined): { sequence?: number } => {
  const number = sequence ? Number(sequence) : Number.NaN;
  return Number.isSafeInteger(number) ? { sequence: number } : {};
};

const categoryOf = (category: string | undefined): Category =>
  categories.find((known) => known === category) ?? "domain";
