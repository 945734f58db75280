import { describe, expect, test } from "bun:test";
import { dataschemaOf, defineEvent, isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import * as v from "valibot";
import { createDelivery } from "./delivery.ts";
import { eventIdOf } from "./event-id.ts";
import { defineHandler } from "./handler.ts";

const eventOn = <const S extends v.GenericSchema<unknown, { id: string }>>(type: string, data: S) =>
  defineEvent({
    type,
    version: 1,
    source: "test",
    category: "domain",
    topic: "orders",
    data: data as v.GenericSchema<{ id: string }, { id: string }>,
    key: (one) => one.id,
  });

const placed = eventOn("order.placed", v.object({ id: v.string(), n: v.optional(v.number(), 7) }));
const paid = eventOn("order.paid", v.object({ id: v.string() }));

const handlerOn = (...on: (typeof placed)[]) =>
  defineHandler({ name: "test.handler", on, run: async () => {} });

const record = (change: Record<string, string | undefined> = {}, value = '{"id":"o-1"}') => {
  const headers = {
    ce_id: "0192F0C1-7A3E-7B54-9C55-3F0C8A1D2E4B",
    ce_type: "order.placed",
    ce_source: "/elsewhere",
    ce_dataschema: dataschemaOf("order.placed", 1),
    ...change,
  };
  const made: KafkaRecord = {
    topic: "orders",
    partition: 0,
    offset: 3,
    timestampMs: 0,
    key: Buffer.from("o-1"),
    value: Buffer.from(value),
    headers: Object.entries(headers).flatMap(([name, text]) =>
      text === undefined ? [] : [{ [name]: Buffer.from(text) }],
    ),
  };
  return made;
};

const thrownBy = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("a record is for a handler", () => {
  test("that asked for its type, in whatever version, and for no other", () => {
    const delivery = createDelivery(record());
    expect(delivery.isFor(handlerOn(placed))).toBe(true);
    expect(delivery.isFor(handlerOn(paid, placed))).toBe(true);
    expect(delivery.isFor(handlerOn(paid))).toBe(false);
    const newer = createDelivery(record({ ce_dataschema: dataschemaOf("order.placed", 2) }));
    expect(newer.isFor(handlerOn(placed))).toBe(true);
    expect(newer.isFor(handlerOn(paid))).toBe(false);
  });

  test("and for all when it does not tell: skipping it could lose it", () => {
    const delivery = createDelivery(record({ ce_type: undefined }));
    expect(delivery.isFor(handlerOn(paid))).toBe(true);
    expect(
      isFault(
        thrownBy(() => delivery.eventFor(handlerOn(paid))),
        "undecodable",
      ),
    ).toBe(true);
  });

  test("that is not wanted is never decoded", () => {
    const delivery = createDelivery(record({}, "no JSON"));
    expect(delivery.isFor(handlerOn(paid))).toBe(false);
    expect(
      isFault(
        thrownBy(() => delivery.eventFor(handlerOn(placed))),
        "undecodable",
      ),
    ).toBe(true);
  });
});

test("a version that the handler does not know is told before anything is decoded", () => {
  const newer = record({ ce_dataschema: dataschemaOf("order.placed", 2) }, "not even JSON");
  const delivery = createDelivery(newer);
  expect(delivery.isOfUnknownVersion(handlerOn(placed))).toBe(true);
  expect(delivery.isOfUnknownVersion(handlerOn(paid))).toBe(false);
  const refusal = thrownBy(() => delivery.eventFor(handlerOn(placed)));
  expect(isFault(refusal, "version_unknown")).toBe(true);
  // Nor is a version that cannot be taken for the first one.
  const impossible = createDelivery(
    record({ ce_dataschema: dataschemaOf("order.placed", 2 ** 40) }),
  );
  expect(impossible.isOfUnknownVersion(handlerOn(placed))).toBe(true);
  // A foreign schema says nothing of our versions.
  const foreign = createDelivery(record({ ce_dataschema: "https://example.com/20240501120000" }));
  expect(foreign.isOfUnknownVersion(handlerOn(placed))).toBe(false);
  expect(foreign.eventFor(handlerOn(placed)).version).toBe(1);
});

test("a record's time is bounded, whatever its producer counts in", () => {
  for (const timestampMs of [1.7e18, -1.7e18, 2 ** 63, -(2 ** 63), Number.NaN, -1]) {
    const delivery = createDelivery({ ...record({ ce_time: "yesterday" }), timestampMs });
    expect(Math.abs(delivery.record.timestampMs)).toBeLessThanOrEqual(8.64e15);
    expect(() => delivery.eventFor(handlerOn(placed))).not.toThrow();
  }
});

describe("the event of a record", () => {
  test("has a UUID in Postgres's spelling, and data checked by the handler's schema", () => {
    const event = createDelivery(record()).eventFor(handlerOn(placed));
    expect(event).toMatchObject({
      id: "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
      key: "o-1",
      data: { id: "o-1", n: 7 },
    });
  });

  test("has a UUID made of source and id where the id is none", () => {
    const event = createDelivery(record({ ce_id: "42" })).eventFor(handlerOn(placed));
    expect(event.id).toBe(eventIdOf("/elsewhere", "42"));
  });

  test("is refused when its data is not what the schema says", () => {
    const delivery = createDelivery(record({}, '{"id":1}'));
    const refusal = thrownBy(() => delivery.eventFor(handlerOn(placed)));
    expect(isFault(refusal, "event_invalid")).toBe(true);
  });

  test("is decoded once for any number of handlers, each with its own schema", () => {
    const delivery = createDelivery(record());
    const [one, other] = [handlerOn(placed), handlerOn(placed)].map(delivery.eventFor);
    expect(other).toEqual(one);
    expect(one?.headers === other?.headers).toBe(true);
  });

  test("keeps the record that it came in", () => {
    const given = record();
    expect(createDelivery(given).record).toBe(given);
  });
});
