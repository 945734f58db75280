import { describe, expect, test } from "bun:test";
import { createOrderWatch } from "./order-watch.ts";
import type { PendingRow } from "./read.ts";

const row = (id: number, key: string, sequence: number | null, topic = "t"): PendingRow => ({
  ...{ id, topic, key: Buffer.from(key), eventId: `event-${id}` },
  sequence: sequence === null ? null : String(sequence),
  ...{ type: null, version: null, headers: "{}", payload: Buffer.alloc(0), createdMs: 0 },
});

const kindsOf = (watch: ReturnType<typeof createOrderWatch>, rows: readonly PendingRow[]) =>
  watch.note(rows).map(({ kind, eventId }) => `${kind} ${eventId}`);

describe("the order watch", () => {
  test("finds nothing in keys whose ids and sequences rise, each for itself", () => {
    const watch = createOrderWatch({ keysMax: 10 });
    const rows = [row(1, "a", 1), row(2, "b", 7), row(3, "a", 2), row(4, "a", 1, "other")];
    expect(kindsOf(watch, rows)).toEqual([]);
    expect(kindsOf(watch, [row(5, "a", 3), row(6, "b", 8)])).toEqual([]);
  });

  test("finds a row that was written before the last one of its key", () => {
    const watch = createOrderWatch({ keysMax: 10 });
    expect(kindsOf(watch, [row(9, "a", null)])).toEqual([]);
    expect(kindsOf(watch, [row(3, "b", null), row(5, "a", null)])).toEqual(["late event-5"]);
    // The highest id stays the last one.
    expect(kindsOf(watch, [row(7, "a", null), row(10, "a", null)])).toEqual(["late event-7"]);
  });

  test("finds gaps and repeats in a sequence, and starts anew behind them", () => {
    const watch = createOrderWatch({ keysMax: 10 });
    const rows = [1, 2, 4, 5, 5, 6].map((sequence, at) => row(at, "a", sequence));
    expect(kindsOf(watch, rows)).toEqual(["gap event-2", "repeat event-4"]);
    expect(kindsOf(watch, [row(10, "a", null), row(11, "a", 9)])).toEqual([]);
  });

  test("forgets keys that were not met lately, and keeps those that were", () => {
    const watch = createOrderWatch({ keysMax: 4 });
    watch.note([row(100, "kept", null), row(101, "forgotten", null)]);
    for (let id = 200; id < 220; id += 1) watch.note([row(id, `k${id}`, null), row(id, "kept", 1)]);
    expect(kindsOf(watch, [row(1, "forgotten", null)])).toEqual([]);
    expect(kindsOf(watch, [row(1, "kept", null)])).toEqual(["late event-1"]);
  });
});
