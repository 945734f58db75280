import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { dataschemaOf, decodeRecord, headerTexts, readType, rowHeaders } from "./cloud-events.ts";
import { categories } from "./envelope.ts";
import type { Envelope } from "./envelope.ts";
import { isFault } from "./fault.ts";
import type { Header, KafkaRecord } from "./ports.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** What the relay makes of an event: the row's headers, and those that follow from its columns. */
const headersOf = (event: Envelope): Header[] =>
  Object.entries({
    ce_specversion: "1.0",
    ce_id: event.id,
    ce_type: event.type,
    ce_subject: event.key,
    ce_dataschema: dataschemaOf(event.type, event.version),
    ...(event.sequence !== undefined && { ce_sequence: `${event.sequence}` }),
    ...rowHeaders(event),
  }).map(([name, value]) => ({ [name]: bytes(value) }));

const recordOf = (event: Envelope): KafkaRecord => ({
  topic: "orders",
  partition: 1,
  offset: 2,
  timestampMs: Date.parse(event.occurredAt),
  key: bytes(event.key),
  value: bytes(JSON.stringify(event.data)),
  headers: headersOf(event),
});

const event: Envelope = {
  id: "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
  type: "order.placed",
  version: 2,
  source: "shop",
  category: "audit",
  key: "o-1",
  occurredAt: "2026-01-02T03:04:05.678Z",
  data: { a: 1 },
  headers: { traceparent: "00-1-2-01", correlationId: "c", causationId: "d", tenant: "t" },
  sequence: 7,
};

const text = fc.string({ unit: "binary", minLength: 1 });
/** What may be passed on from event to event. */
const attribute = text
  .map((one) => one.replaceAll("\0", "").slice(0, 60))
  .filter((one) => one !== "" && one.isWellFormed());
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const present = (one: object) =>
  Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined));

const anyEvent: fc.Arbitrary<Envelope> = fc
  .record({
    id: text,
    type: text,
    version: fc.integer({ min: 1, max: 1_000_000 }),
    source: text,
    category: fc.constantFrom(...categories),
    key: text,
    occurredAt: fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date("2999-01-01") })
      .map((date) => date.toISOString()),
    data: fc.jsonValue(),
    headers: fc
      .record({
        traceparent: optional(attribute),
        correlationId: optional(attribute),
        causationId: optional(attribute),
        tenant: optional(attribute),
      })
      .map(present),
    sequence: optional(fc.maxSafeNat()),
  })
  .map((one) => present(one) as Envelope);

const refusalOf = (record: KafkaRecord): unknown => {
  try {
    return decodeRecord(record);
  } catch (error) {
    return error;
  }
};

describe("a record", () => {
  test("of any event decodes to the same event", () => {
    fc.assert(
      fc.property(anyEvent, (made) => {
        // JSON knows no -0.
        const sent = { ...made, data: JSON.parse(JSON.stringify(made.data)) };
        expect(decodeRecord(recordOf(made))).toEqual(sent);
      }),
    );
  });

  test("keeps a key and attributes that begin with a byte order mark", () => {
    const marked = { ...event, key: "\ufeffo-1", source: "\ufeffshop" };
    expect(decodeRecord(recordOf(marked))).toEqual(marked);
  });

  test("without a key is keyed by its id", () => {
    expect(decodeRecord({ ...recordOf(event), key: null }).key).toBe(event.id);
  });

  test("of others, with the required attributes alone, is an event too", () => {
    const headers: Header[] = [{ ce_id: bytes("1") }, { ce_type: bytes("t") }];
    headers.push({ ce_source: bytes("/s") });
    expect(decodeRecord({ ...recordOf(event), headers })).toEqual({
      id: "1",
      type: "t",
      version: 1,
      source: "/s",
      category: "domain",
      key: "o-1",
      occurredAt: "2026-01-02T03:04:05.678Z",
      data: { a: 1 },
      headers: {},
    });
  });

  test("with a category or a schema that means nothing to us is an event all the same", () => {
    const headers = headersOf(event).map((header) => {
      if (header.ce_category) return { ce_category: bytes("gossip") };
      return header.ce_dataschema ? { ce_dataschema: bytes("https://a.example/schema") } : header;
    });
    expect(decodeRecord({ ...recordOf(event), headers })).toMatchObject({
      category: "domain",
      version: 1,
    });
  });

  for (const missing of ["ce_id", "ce_type", "ce_source"]) {
    test(`without ${missing} is undecodable`, () => {
      const headers = headersOf(event).filter((header) => !header[missing]);
      expect(isFault(refusalOf({ ...recordOf(event), headers }), "undecodable")).toBe(true);
      const empty = [...headers, { [missing]: bytes("") }];
      expect(isFault(refusalOf({ ...recordOf(event), headers: empty }), "undecodable")).toBe(true);
    });
  }

  test("with a value that is missing, no JSON or no UTF-8 is undecodable", () => {
    for (const value of [null, bytes(""), bytes("{"), new Uint8Array([0x22, 0xff, 0x22])]) {
      expect(isFault(refusalOf({ ...recordOf(event), value }), "undecodable")).toBe(true);
    }
  });

  test("with a key or an attribute that is no UTF-8 is undecodable", () => {
    const broken = new Uint8Array([0xc3, 0x28]);
    expect(isFault(refusalOf({ ...recordOf(event), key: broken }), "undecodable")).toBe(true);
    const headers = [...headersOf(event), { ce_source: broken }];
    expect(isFault(refusalOf({ ...recordOf(event), headers }), "undecodable")).toBe(true);
  });

  test("with a trace, chain or tenant that could not be written again has none", () => {
    const names = ["traceparent", "ce_correlationid", "ce_causationid", "ce_tenant"];
    const lone = new Uint8Array([0xed, 0xa0, 0x80]);
    const odd = [bytes(""), bytes("a\0b"), lone, new Uint8Array([0xc3, 0x28])];
    for (const value of [...odd, bytes("x".repeat(256)), bytes("x".repeat(1_000_000))]) {
      const headers = [...headersOf(event), ...names.map((name) => ({ [name]: value }))];
      const decoded = decodeRecord({ ...recordOf(event), headers });
      expect(decoded).toEqual({ ...event, headers: {} });
    }
    const longest = "é".repeat(127);
    const headers = [...headersOf(event), ...names.map((name) => ({ [name]: bytes(longest) }))];
    const kept = decodeRecord({ ...recordOf(event), headers }).headers;
    expect(Object.values(kept)).toEqual(names.map(() => longest));
  });

  test("with a foreign header of other bytes is an event all the same", () => {
    const headers = [...headersOf(event), { "x-signature": new Uint8Array([0xff, 0xfe, 0x00]) }];
    expect(refusalOf({ ...recordOf(event), headers })).toEqual(event);
  });

  test("with a sequence that is no number says so instead of passing NaN on", () => {
    const headers = [...headersOf(event), { ce_sequence: bytes("first") }];
    const decoded = refusalOf({ ...recordOf(event), headers });
    const isRefused = isFault(decoded, "undecodable");
    if (!isRefused) expect(decoded).not.toHaveProperty("sequence", Number.NaN);
  });

  test("whatever it holds, gives an event or an undecodable, never another error", () => {
    const anyBytes = fc.uint8Array({ maxLength: 12 });
    const name = fc.constantFrom("ce_id", "ce_type", "ce_source", "ce_time", "ce_dataschema", "x");
    const headers = fc.array(
      fc.tuple(name, anyBytes).map(([one, value]) => ({ [one]: value })),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(
        headers,
        fc.option(anyBytes),
        fc.option(anyBytes),
        fc.integer({ min: -1 }),
        (some, key, value, timestampMs) => {
          const result = refusalOf({ ...recordOf(event), headers: some, key, value, timestampMs });
          if (result instanceof Error) expect(isFault(result, "undecodable")).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("headers", () => {
  test("of a row leave out what the event does not have", () => {
    expect(rowHeaders({ ...event, headers: {} })).toEqual({
      ce_source: "shop",
      ce_category: "audit",
      ce_time: "2026-01-02T03:04:05.678Z",
      "content-type": "application/json",
    });
  });

  test("as texts: the last of a name counts, those of others are left alone", () => {
    const headers: Header[] = [
      { ce_id: bytes("1") },
      { ce_tenant: bytes("ü") },
      { other: new Uint8Array([0xff]) },
      { ce_id: bytes("2") },
    ];
    expect(headerTexts(headers)).toEqual({ ce_id: "2", ce_tenant: "ü" });
    expect(headerTexts([])).toEqual({});
  });
});

describe("the type of a record", () => {
  test("is read from the headers alone, the last one of a name counting", () => {
    expect(readType(headersOf(event))).toEqual({ type: "order.placed", version: 2 });
    const later = [...headersOf(event), { ce_type: bytes("other") }];
    // The schema is that of another type.
    expect(readType(later)).toEqual({ type: "other", version: 1 });
  });

  test("is version 1 where the schema does not tell", () => {
    const type = { ce_type: bytes("t") };
    expect(readType([type])).toEqual({ type: "t", version: 1 });
    const foreign = ["", "x", "2", "/2", "a/b/2", "a/t2/2", "https://example.com/t/2"];
    for (const schema of foreign) {
      const headers = [type, { ce_dataschema: bytes(schema) }];
      expect(readType(headers)).toEqual({ type: "t", version: 1 });
    }
  });

  test("is nobody's version where the schema is ours and tells none that can be", () => {
    const odd = ["", "0", "-1", "1.5", "02", "2 ", "1e3", "2147483648", "20240501120000"];
    const versionIn = (schema: string) =>
      readType([{ ce_type: bytes("t") }, { ce_dataschema: bytes(schema) }] as const)?.version;
    expect(odd.map((one) => versionIn(`outrider:schemas/t/${one}`))).toEqual(odd.map(() => 0));
    expect(versionIn("outrider:schemas/t/2147483647")).toBe(2_147_483_647);
  });

  test("is unknown where there is none", () => {
    expect(readType([])).toBeUndefined();
    expect(readType([{ ce_dataschema: bytes("a/b/1") }])).toBeUndefined();
  });
});
