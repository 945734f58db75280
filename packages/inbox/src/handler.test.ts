import { describe, expect, test } from "bun:test";
import { defineEvent } from "@outrider/event";
import type { Envelope } from "@outrider/event";
import * as v from "valibot";
import { defineBatchHandler, defineHandler } from "./handler.ts";
import type { HandlerContext } from "./handler.ts";

const eventOn = (topic: string, type: string, version = 1) =>
  defineEvent({
    type,
    version,
    source: "test",
    category: "domain",
    topic,
    data: v.object({ id: v.string() }),
    key: (data) => data.id,
  });

const placed = eventOn("orders", "order.placed");
const placedTwo = eventOn("orders", "order.placed", 2);
const paid = eventOn("payments", "payment.paid");

const context = {} as HandlerContext;
const eventsOf = (...ids: string[]): Envelope[] =>
  ids.map((id) => placed.create({ id }, { id, occurredAt: new Date(0) }));

describe("a handler", () => {
  const handler = defineHandler({
    name: "test.handler",
    on: [placed, placedTwo, paid],
    run: async () => {},
  });

  test("is for the types and versions that it names, and reads their topics once", () => {
    expect(handler.definitionOf("order.placed", 1)).toBe(placed);
    expect(handler.definitionOf("order.placed", 2)).toBe(placedTwo);
    expect(handler.definitionOf("payment.paid", 1)).toBe(paid);
    expect(handler.definitionOf("order.placed", 3)).toBeUndefined();
    expect(handler.definitionOf("order.lost", 1)).toBeUndefined();
    expect(handler.topics).toEqual(["orders", "payments"]);
  });

  test("has limits when it says nothing of them, and the app's group", () => {
    expect(handler).toMatchObject({ timeoutMs: 10_000, batchSizeMax: 100, group: undefined });
    expect(Object.isFrozen(handler)).toBe(true);
  });

  test("may have limits and a group of its own", () => {
    const own = { group: "slow", timeoutMs: 25_000, batchSizeMax: 1 };
    expect(defineHandler({ name: "a.b", on: [paid], ...own, run: async () => {} })).toMatchObject(
      own,
    );
  });

  test("cannot take longer than the server leaves an idle transaction alone", () => {
    const define = () =>
      defineHandler({ name: "a.b", on: [paid], timeoutMs: 25_001, run: async () => {} });
    expect(define).toThrow(RangeError);
  });

  const wrong = {
    ...{ concurrency: 0, batchSizeMax: 0.5, timeoutMs: Number.NaN },
    retry: { attemptsMax: 0 },
  };
  test.each(Object.entries(wrong))("is refused with a wrong %s", (name, value) => {
    const define = () =>
      defineHandler({ name: "a.b", on: [paid], [name]: value, run: async () => {} });
    expect(define).toThrow(new RegExp(`^a\\.b: ${name}`));
  });
});

describe("running", () => {
  test("a handler gives it one event at a time, each after the one before", async () => {
    const steps: string[] = [];
    const handler = defineHandler({
      name: "test.handler",
      on: [placed],
      run: async ({ data }, given) => {
        expect(given).toBe(context);
        steps.push(`${data.id} begins`);
        await Promise.resolve();
        steps.push(`${data.id} ends`);
      },
    });
    await handler.run(eventsOf("a", "b"), context);
    expect(steps).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  test("an event that fails ends it: the next is not run", async () => {
    const seen: string[] = [];
    const handler = defineHandler({
      name: "test.handler",
      on: [placed],
      run: async ({ data }) => {
        seen.push(data.id);
        if (data.id === "b") throw new Error("no");
      },
    });
    await expect(handler.run(eventsOf("a", "b", "c"), context)).rejects.toThrow("no");
    expect(seen).toEqual(["a", "b"]);
  });

  test("a batch handler gives it all events at once, in order", async () => {
    const seen: string[][] = [];
    const handler = defineBatchHandler({
      name: "test.handler",
      on: [placed],
      run: async (events) => void seen.push(events.map(({ data }) => data.id)),
    });
    await handler.run(eventsOf("a", "b", "c"), context);
    expect(seen).toEqual([["a", "b", "c"]]);
  });
});
