import { describe, expect, test } from "bun:test";
import type { PartitionLog } from "@outrider/event";
import { startOffset } from "./start-offset.ts";
import type { Start, StoredMark } from "./start-offset.ts";

const own = { clusterId: "cluster-1", topicId: "topic-1" };

const logOf = (low: number, high: number, more: Partial<PartitionLog> = {}): PartitionLog => ({
  ...{ topic: "t", partition: 0, low, high, epochEnd: null, ...own },
  ...more,
});

const markAt = (next: number, more: Partial<StoredMark> = {}): StoredMark => ({
  ...{ next, log: own, leaderEpoch: null, haltReason: null },
  ...more,
});

const from = (offset: number): Start => ({ kind: "from", offset });

const fitting: readonly (readonly [string, PartitionLog, StoredMark | undefined, Start])[] = [
  ["no watermark: from the beginning", logOf(0, 10), undefined, from(0)],
  ["no watermark, old records deleted: what is left", logOf(5, 9), undefined, from(5)],
  ["in the log: from the watermark", logOf(0, 10), markAt(7), from(7)],
  ["at the first record", logOf(5, 10), markAt(5), from(5)],
  ["at the end: what comes next", logOf(0, 10), markAt(10), from(10)],
  ["an empty log", logOf(0, 0), markAt(0), from(0)],
  ["below the first: a gap", logOf(5, 10), markAt(4), { kind: "gap", offset: 5, missing: 1 }],
  ["all deleted: a gap", logOf(10, 10), markAt(0), { kind: "gap", offset: 10, missing: 10 }],
  [
    "of a version that knew no log, in it: it takes the log on",
    logOf(0, 9),
    markAt(7, { log: null }),
    from(7),
  ],
  ["the epoch ends at the watermark", logOf(0, 10, { epochEnd: 7 }), markAt(7), from(7)],
  ["the epoch goes on behind the watermark", logOf(0, 10, { epochEnd: 10 }), markAt(7), from(7)],
];

describe("a watermark that fits its log", () => {
  for (const [name, log, mark, start] of fitting) {
    test(name, () => expect(startOffset(log, mark)).toEqual(start));
  }
});

/** Of a log that has grown past the watermark, so that the number alone says nothing. */
const strange: readonly (readonly [string, PartitionLog, StoredMark, string])[] = [
  ["beyond the end", logOf(0, 10), markAt(11), "the log ends at 10, below the watermark 11"],
  ["beyond an empty log", logOf(0, 0), markAt(1), "the log ends at 0, below the watermark 1"],
  [
    "beyond the end, of a version that knew no log",
    logOf(0, 10),
    markAt(11, { log: null }),
    "the log ends at 10, below the watermark 11",
  ],
  [
    "another topic of the same name, however long",
    logOf(0, 99, { topicId: "topic-2" }),
    markAt(7),
    "the topic has been made anew: its id is topic-2, and was topic-1",
  ],
  [
    "another cluster, however long",
    logOf(0, 99, { clusterId: "cluster-2" }),
    markAt(7),
    "this is cluster cluster-2, and the watermark is of cluster cluster-1",
  ],
  [
    "cut below the watermark, and grown past it again",
    logOf(0, 99, { epochEnd: 6 }),
    markAt(7, { leaderEpoch: 3 }),
    "an unclean election has cut the log at 6, below the watermark 7",
  ],
  ["a halt that is stored lasts", logOf(0, 99), markAt(7, { haltReason: "so" }), "so"],
];

describe("a partition is halted, and the reason said, when its watermark is", () => {
  for (const [name, log, mark, reason] of strange) {
    test(name, () => expect(startOffset(log, mark)).toEqual({ kind: "halted", reason }));
  }
});
