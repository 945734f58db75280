import { describe, expect, test } from "bun:test";
import { decodeRecord, readType } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";
import { headerPairs } from "@outrider/postgres";
import type { PendingRow } from "./read.ts";
import { recordOf } from "./record.ts";

type Change = Partial<Omit<PendingRow, "headers">> & Readonly<{ headers?: unknown }>;

const noted = {
  ce_time: "2026-01-02T03:04:05.678Z",
  ce_source: "test",
  ce_category: "domain",
  "content-type": "application/json",
  ce_correlationid: "c",
};

const row = ({ headers = noted, ...change }: Change = {}): PendingRow => ({
  id: 12,
  eventId: "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
  type: "note.noted",
  version: 2,
  sequence: "4",
  topic: "notes",
  key: Buffer.from("n-1"),
  headers: JSON.stringify(headers),
  payload: Buffer.from('{"a":1}'),
  createdMs: 1_700_000_000_456,
  ...change,
});

const shown = ({ headers }: PublishRecord): string[] =>
  headers.map((header) =>
    Object.entries(header)
      .map(([name, value]) => `${name}=${Buffer.from(value).toString()}`)
      .join(),
  );

const headerOf = (record: PublishRecord, name: string) =>
  record.headers.find((header) => header[name]);

describe("an event's row", () => {
  test("becomes CloudEvents in binary mode, with nothing that is not needed", () => {
    const record = recordOf(row());
    expect({ ...record, headers: shown(record) }).toEqual({
      topic: "notes",
      key: Buffer.from("n-1"),
      value: Buffer.from('{"a":1}'),
      headers: [
        "ce_specversion=1.0",
        "ce_type=note.noted",
        "ce_dataschema=outrider:schemas/note.noted/2",
        "ce_id=0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
        "ce_subject=n-1",
        "ce_sequence=4",
        "ce_time=2026-01-02T03:04:05.678Z",
        "ce_source=test",
        "ce_category=domain",
        "content-type=application/json",
        "ce_correlationid=c",
      ],
    });
  });

  test("is read back as the event that it was", () => {
    const record = recordOf(row());
    const headers = record.headers.map((header) =>
      Object.fromEntries(Object.entries(header).map(([name, value]) => [name, Buffer.from(value)])),
    );
    const read = { ...record, headers, partition: 0, offset: 0, timestampMs: 0 };
    expect(readType(headers)).toEqual({ type: "note.noted", version: 2 });
    expect(decodeRecord(read)).toEqual({
      id: "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
      type: "note.noted",
      version: 2,
      source: "test",
      category: "domain",
      key: "n-1",
      occurredAt: "2026-01-02T03:04:05.678Z",
      data: { a: 1 },
      headers: { correlationId: "c" },
      sequence: 4,
    });
  });

  test("has no sequence where none is known", () => {
    expect(headerOf(recordOf(row({ sequence: null })), "ce_sequence")).toBeUndefined();
  });

  test("gives the same bytes whenever it is published", () => {
    const [one, other] = [recordOf(row()), recordOf(row())];
    expect(other).toEqual(one);
    expect(shown(other)).toEqual(shown(one));
  });
});

describe("headers", () => {
  test("that are the same for many events are built once", () => {
    const one = recordOf(row());
    const other = recordOf(row({ eventId: "0192f0c1-0000-7000-8000-000000000000" }));
    const names = ["ce_specversion", "ce_type", "ce_dataschema", "ce_source", "ce_category"];
    for (const name of [...names, "content-type"]) {
      expect(headerOf(one, name)).toBeDefined();
      expect(headerOf(other, name)).toBe(headerOf(one, name));
    }
  });

  test("that differ from event to event are not kept", () => {
    const [one, other] = [recordOf(row()), recordOf(row())];
    for (const name of ["ce_id", "ce_time", "ce_correlationid", "ce_sequence"]) {
      expect(headerOf(other, name)).not.toBe(headerOf(one, name));
    }
  });

  test("of one name and several values stay apart", () => {
    const record = recordOf(row({ type: "note.lost", headers: { ce_source: "elsewhere" } }));
    expect(shown(record)).toContain("ce_source=elsewhere");
    expect(shown(record)).toContain("ce_type=note.lost");
    expect(shown(recordOf(row()))).toContain("ce_source=test");
  });

  test("are right however many tenants there are", () => {
    for (let n = 0; n < 3000; n += 1) {
      const record = recordOf(row({ headers: { ce_tenant: `t-${n}` } }));
      expect(shown(record).at(-1)).toBe(`ce_tenant=t-${n}`);
    }
  });
});

describe("a raw row", () => {
  const raw = { type: null, version: null, sequence: null };

  test("keeps its own headers and gets no others", () => {
    const headers = { "x-origin": "a", "content-type": "b", ce_time: "2026-01-02T03:04:05.678Z" };
    expect(shown(recordOf(row({ ...raw, headers })))).toEqual([
      "x-origin=a",
      "content-type=b",
      "ce_time=2026-01-02T03:04:05.678Z",
    ]);
  });

  test("of writeRecord keeps the order, the repetitions and the bytes of its headers", () => {
    const bytes = Buffer.from([0, 255, 1]);
    const pairs = headerPairs([
      ["b", "1"],
      ["a", bytes],
      ["b", "2"],
      ["ce_time", "2026-01-02T03:04:05.678Z"],
    ]);
    const record = recordOf(row({ ...raw, headers: JSON.parse(JSON.stringify(pairs)) }));
    expect(record.headers.flatMap((one) => Object.entries(one))).toEqual([
      ["b", Buffer.from("1")],
      ["a", bytes],
      ["b", Buffer.from("2")],
      ["ce_time", Buffer.from("2026-01-02T03:04:05.678Z")],
    ]);
  });

  test("keeps headers whose names mean something to objects", () => {
    const headers = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c", "": "d"}');
    const own = ["__proto__=a", "constructor=b", "toString=c", "=d"];
    expect(shown(recordOf(row({ ...raw, headers })))).toEqual(own);
    const pairs = own.map((one) => one.split("="));
    expect(shown(recordOf(row({ ...raw, headers: pairs })))).toEqual(own);
    expect(headerPairs(pairs as [string, string][])).toEqual(pairs as [string, string][]);
  });

  test("with pairs that are none is published all the same: it must not stop its shard", () => {
    const odd = [1, null, "a", [], ["a"], ["b", null], ["c", 2], ["d", {}], ["e", { base64: "?" }]];
    expect(shown(recordOf(row({ ...raw, headers: odd })))).toEqual([
      ...["malformed=1", "malformed=null", "malformed=a", "malformed=[]", 'malformed=["a"]'],
      ...["b=null", "c=2", "d={}", 'e={"base64":"?"}'],
    ]);
    for (const headers of [null, 1, true, "text", []]) {
      expect(() => recordOf(row({ ...raw, headers }))).not.toThrow();
    }
  });

  test("with headers that are no texts, or none, is shown as it stands", () => {
    expect(shown(recordOf(row({ ...raw, headers: { n: 1, o: { a: null } } })))).toEqual([
      "n=1",
      'o={"a":null}',
    ]);
    expect(recordOf(row({ ...raw, headers: null })).headers).toEqual([]);
  });
});
