import { describe, expect, test } from "bun:test";
import { defineCatalogue, defineEvent, defineTopic, isFault } from "@outrider/event";
import type { Envelope, FaultCode } from "@outrider/event";
import * as v from "valibot";
import { rowOf } from "./row.ts";

const topic = defineTopic({ name: "notes" });
const noted = defineEvent({
  type: "note.noted",
  version: 2,
  source: "test",
  category: "domain",
  topic: "notes",
  data: v.object({ id: v.string(), text: v.string(), tags: v.optional(v.array(v.string()), []) }),
  key: (data) => data.id,
});
const catalogue = defineCatalogue([topic], [noted]);
const nowMs = Date.UTC(2026, 0, 2);
const rules = { catalogue, nowMs: () => nowMs, occurredAheadMaxMs: 60_000 };

const id = "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b";
const occurredAt = new Date(1_700_000_000_123);
const note = (text: string, key = "n-1") =>
  noted.create({ id: key, text }, { id, occurredAt, sequence: 4 });

const refusalOf = (event: Envelope): unknown => {
  try {
    return rowOf(rules, event);
  } catch (error) {
    return error;
  }
};

const withField = (event: Envelope, pointer: string, value: unknown): Envelope => {
  const [, first = "", second] = pointer.split("/");
  const changed = second ? { ...event.headers, [second]: value } : value;
  return { ...event, [first]: changed };
};

const fail = (): never => {
  throw new Error("no");
};

const isRefused = (event: Envelope, code: FaultCode) => isFault(refusalOf(event), code);

test("a row holds what the event says, its data completed by the schema", () => {
  const cause = { id: "c" };
  const event = { ...note("hi"), headers: { correlationId: "c", causationId: cause.id } };
  const row = rowOf(rules, event);
  expect({ ...row, key: row.key.toString(), payload: JSON.parse(row.payload.toString()) }).toEqual({
    eventId: id,
    type: "note.noted",
    version: 2,
    sequence: 4,
    topic: "notes",
    key: "n-1",
    headers: JSON.stringify({
      ce_source: "test",
      ce_category: "domain",
      ce_time: "2023-11-14T22:13:20.123Z",
      "content-type": "application/json",
      ce_correlationid: "c",
      ce_causationid: "c",
    }),
    payload: { id: "n-1", text: "hi", tags: [] },
  });
});

test("keys and data are UTF-8", () => {
  const row = rowOf(rules, note("Zoë 🚲", "ключ"));
  expect(row.key.toString("hex")).toBe(Buffer.from("ключ", "utf8").toString("hex"));
  expect(JSON.parse(row.payload.toString("utf8"))).toMatchObject({ text: "Zoë 🚲" });
});

test("an event whose position is not known has none", () => {
  const event = noted.create({ id: "n-1", text: "hi" }, { id, occurredAt });
  expect(rowOf(rules, event).sequence).toBeNull();
});

test("the topic is the definition's, whatever the envelope may say", () => {
  const forged = { ...note("hi"), topic: "elsewhere" };
  expect(rowOf(rules, forged).topic).toBe("notes");
});

describe("refused is", () => {
  test("a type or a version that the catalogue does not have", () => {
    expect(isRefused({ ...note("hi"), type: "note.lost" }, "event_unknown")).toBe(true);
    expect(isRefused({ ...note("hi"), version: 1 }, "event_unknown")).toBe(true);
  });

  test("data that is not valid, with a pointer", () => {
    const refusal = refusalOf({ ...note("hi"), data: { id: "n-1", text: 1 } });
    expect(isFault(refusal, "event_invalid") && refusal.problems[0]?.pointer).toBe("/text");
  });

  test("an empty key, which would keep order for nobody, and half a character in one", () => {
    for (const key of ["", "\ud800", "n-\udc001"]) {
      expect(isRefused(note("hi", key), "event_invalid")).toBe(true);
    }
  });

  const texts = (max: number) => ["x".repeat(max + 1), "é".repeat(max), "a\0", "\ud800", 5, null];
  const numbers = [-1, 0.5, Number.NaN, Infinity, 2 ** 53, 1e300, "1", null];
  const odd: Readonly<Record<string, readonly unknown[]>> = {
    "/id": ["", "n-1", `${id}0`, `{${id}}`, id.replaceAll("-", ""), `${id}\0`, 7, null],
    "/source": ["", ...texts(255)],
    "/category": ["", "gossip", null],
    "/sequence": numbers,
    ...Object.fromEntries(
      ["traceparent", "correlationId", "causationId", "tenant"].map((name) => [
        `/headers/${name}`,
        texts(255),
      ]),
    ),
  };

  for (const [pointer, values] of Object.entries(odd)) {
    test(`whatever Postgres, Kafka or a reader would not take as ${pointer}`, () => {
      for (const value of values) {
        const refusal = refusalOf(withField(note("hi"), pointer, value));
        const problems = isFault(refusal, "event_invalid") && refusal.problems;
        expect([value, problems]).toEqual([value, [{ pointer, detail: expect.any(String) }]]);
      }
    });
  }

  test("not what is at a limit", () => {
    const attribute = "é".repeat(127);
    const [traceparent, correlationId, causationId, tenant] = Array(4).fill(attribute);
    const largest = {
      ...{ ...note("hi", "a\0b"), source: attribute, id: id.toUpperCase() },
      sequence: Number.MAX_SAFE_INTEGER,
      headers: { traceparent, correlationId, causationId, tenant },
    };
    const smallest = { ...note("hi"), sequence: 0, headers: { tenant: "" } };
    for (const event of [largest, smallest]) expect(refusalOf(event)).not.toBeInstanceOf(Error);
  });

  test("data that no JSON says, and a date that there is not", () => {
    const unwritable = [
      1n,
      () => {},
      Object.defineProperty({}, "x", { get: fail, enumerable: true }),
    ];
    for (const data of unwritable) {
      const any = defineEvent({ ...noted, data: v.unknown(), key: () => "n-1" });
      const others = { ...rules, catalogue: defineCatalogue([topic], [any]) };
      const event = any.create(data, { id, occurredAt });
      expect(() => rowOf(others, event)).toThrow(
        "The data of note.noted cannot be written as JSON",
      );
    }
    const never = new Date(Number.NaN);
    const event = noted.create({ id: "n-1", text: "hi" }, { id, occurredAt: never });
    expect(isRefused(event, "event_invalid")).toBe(true);
  });

  test("a time that is none, or lies further ahead of the writer's clock than is allowed", () => {
    const at = (ms: number) => new Date(ms).toISOString();
    for (const said of ["", "now", "2026-01-02T03:04:05+02:00", at(nowMs + 60_001)]) {
      expect(isRefused({ ...note("hi"), occurredAt: said }, "event_invalid")).toBe(true);
    }
    for (const said of [at(nowMs + 60_000), at(nowMs), "0001-01-01T00:00:00.000Z"]) {
      expect(isFault(refusalOf({ ...note("hi"), occurredAt: said }))).toBe(false);
    }
  });

  test("what could be larger than its topic takes, however it is large", () => {
    const half = Math.floor(topic.maxMessageBytes / 2);
    expect(isRefused(note("x".repeat(topic.maxMessageBytes)), "event_too_large")).toBe(true);
    // The key is sent three times: as the record's, as ce_subject and in this type's data.
    const key = "k".repeat(topic.maxMessageBytes * 0.4);
    expect(isRefused(note("hi", key), "event_too_large")).toBe(true);
    // Two bytes a letter.
    expect(isRefused(note("é".repeat(half)), "event_too_large")).toBe(true);
  });

  test("not what fits", () => {
    expect(isFault(refusalOf(note("x".repeat(topic.maxMessageBytes - 2_000))))).toBe(false);
  });

  test("what is too large tells the log how large, and the caller nothing of it", () => {
    const refusal = refusalOf(note("x".repeat(topic.maxMessageBytes)));
    expect(isFault(refusal) && refusal.details).toMatchObject({
      topic: "notes",
      maxMessageBytes: topic.maxMessageBytes,
    });
    expect(isFault(refusal) && refusal.message).not.toContain("xx");
  });
});
