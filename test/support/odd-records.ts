/** Records as no producer of ours writes them: each field at, over and far over every limit. */

import type { KafkaRecord } from "@outrider/event";

/** With these headers in place of those of their names. */
export const withHeaders = (record: KafkaRecord, change: Record<string, string>): KafkaRecord => ({
  ...record,
  headers: [
    ...record.headers.filter((one) => !Object.keys(one).some((key) => key in change)),
    ...Object.entries(change).map(([key, text]) => ({ [key]: Buffer.from(text) })),
  ],
});

const huge = "9".repeat(400);
const numbers = ["", "0", "-1", "1.5", "1e400", "NaN", "2147483647", "2147483648"];
const larger = ["20240501120000", "9223372036854775807", "9223372036854775808", huge, `-${huge}`];
const texts = ["\0", "a\0b", "\uFFFF", "x".repeat(100_000), "💥".repeat(1000), "__proto__"];
const times = ["yesterday", "0000-01-01T00:00:00Z", "-271821-04-20T00:00:00Z"];
const laterTimes = ["+275760-09-13T00:00:00Z", "9999-12-31T23:59:59.999Z", "1e30"];
const stamps = [-1, 0, 1.7e18, 2 ** 53, 2 ** 63, -(2 ** 63), Number.NaN];

/** Each field at, over and far over every limit of the types and columns below it. */
export const oddRecords = (recordOf: (n: number) => KafkaRecord): KafkaRecord[] => {
  const odd: KafkaRecord[] = [];
  const make = (change: (record: KafkaRecord) => KafkaRecord) => {
    const n = odd.length;
    odd.push({ ...change(recordOf(n)), offset: n });
  };
  const all = [...numbers, ...larger, ...texts, ...times, ...laterTimes];
  const names = ["ce_id", "ce_source", "ce_type", "ce_sequence", "ce_time", "ce_subject"];
  const more = ["ce_correlationid", "ce_causationid", "ce_tenant", "traceparent", "content-type"];
  for (const header of [...names, ...more, "ce_dataschema", "x-own"]) {
    for (const text of all) make((record) => withHeaders(record, { [header]: text }));
  }
  for (const text of all) {
    const schema = `https://example.com/test.counted/${text}`;
    make((record) => withHeaders(record, { ce_dataschema: schema }));
    make((record) => withHeaders(record, { [text === "" ? "x" : text.slice(0, 2000)]: "1" }));
    make((record) => ({ ...record, key: Buffer.from(text) }));
    make((record) => ({ ...record, value: Buffer.from(text) }));
  }
  for (const timestampMs of stamps) {
    make((record) => ({ ...record, timestampMs }));
    make((record) => ({ ...withHeaders(record, { ce_time: "" }), timestampMs }));
  }
  const bytes = [Buffer.alloc(0), Buffer.from([0xff, 0, 0xfe]), null];
  for (const one of bytes) {
    make((record) => ({ ...record, key: one }));
    make((record) => ({ ...record, value: one }));
    make((record) => ({
      ...record,
      headers: [...record.headers, { "x-b": one ?? Buffer.alloc(0) }],
    }));
  }
  make((record) => ({ ...record, headers: [] }));
  return odd;
};
