import { describe, expect, test } from "bun:test";
import { checkLog, countDuplicates } from "./check-log.ts";
import type { CommittedEvent, History, LogRecord } from "./history.ts";

const event = (key: string, sequence: number): CommittedEvent => ({
  id: `${key}-${sequence}`,
  key,
  sequence,
});

/** A log of one partition that holds these events in this order. */
const logOf = (...events: readonly CommittedEvent[]): LogRecord[] =>
  events.map(({ id, key }, offset) => ({ id, key, partition: 0, offset, content: `${id}!` }));

const [a1, a2, a3] = [event("a", 1), event("a", 2), event("a", 3)];
const [b1, b2] = [event("b", 1), event("b", 2)];
const committed = [a1, a2, a3, b1, b2];

const kinds = (history: Partial<History>): string[] =>
  checkLog({ committed, rolledBack: new Set(), log: [], ...history }).map((one) => one.kind);

describe("a good history has no violation", () => {
  test("keys interleaved in any way", () => {
    expect(kinds({ log: logOf(b1, a1, a2, b2, a3) })).toEqual([]);
  });

  test("a batch that was published twice", () => {
    const log = logOf(a1, a2, b1, a1, a2, b1, a3, b2);
    expect(kinds({ log })).toEqual([]);
    expect(countDuplicates(log)).toBe(3);
  });

  test("an old duplicate after newer events", () => {
    expect(kinds({ log: logOf(a1, a2, a3, b1, b2, a1) })).toEqual([]);
  });

  test("records that are handed over in another order than their offsets", () => {
    expect(kinds({ log: logOf(a1, a2, a3, b1, b2).toReversed() })).toEqual([]);
  });
});

describe("a bad history is caught", () => {
  test("a lost event at the end of its key", () => {
    expect(kinds({ log: logOf(a1, a2, b1, b2) })).toEqual(["lost"]);
  });

  test("a lost event in the middle is a gap, too", () => {
    expect(kinds({ log: logOf(a1, a3, b1, b2) })).toEqual(["lost", "gap"]);
  });

  test("everything lost", () => {
    expect(kinds({ log: [] })).toEqual(["lost", "lost", "lost", "lost", "lost"]);
  });

  test("an event that nobody committed", () => {
    expect(kinds({ log: logOf(...committed, event("c", 1)) })).toEqual(["phantom"]);
  });

  test("an event of a transaction that was rolled back", () => {
    const ghost = event("c", 1);
    const history = { log: logOf(...committed, ghost), rolledBack: new Set([ghost.id]) };
    expect(kinds(history)).toEqual(["rolled-back"]);
  });

  test("two events of a key swapped", () => {
    expect(kinds({ log: logOf(a2, a1, a3, b1, b2) })).toEqual(["gap", "reordered"]);
  });

  test("an event that first appears after all later ones", () => {
    expect(kinds({ log: logOf(a2, a3, b1, b2, a1) })).toEqual(["gap", "reordered"]);
  });

  test("a key in two partitions", () => {
    const log = logOf(a1, a2, a3, b1, b2).map((record) =>
      record.id === a3.id ? { ...record, partition: 1, offset: 0 } : record,
    );
    expect(kinds({ log })).toEqual(["split-key"]);
  });

  test("a duplicate that differs from its original", () => {
    const log = logOf(a1, a2, a3, b1, b2, b2);
    const changed = log.map((record) =>
      record.offset === 5 ? { ...record, content: "other" } : record,
    );
    expect(kinds({ log: changed })).toEqual(["changed-duplicate"]);
  });
});
