import { describe, expect, test } from "bun:test";
import { planShare } from "./fair-share.ts";
import type { Ownership } from "./fair-share.ts";

/** Lets every relay act on the same view, again and again, until nobody has anything to do. */
const settle = (members: readonly string[], shards: readonly Ownership[]) => {
  let now = [...shards];
  let moves = 0;
  for (let turn = 0; turn < 10; turn += 1) {
    const before = now;
    for (const me of members) {
      const { take, give } = planShare(me, members, before);
      moves += take.length;
      now = now.map((one) => {
        if (give.includes(one.shard)) return { shard: one.shard };
        // The first one wins, as in the database.
        if (take.includes(one.shard) && one.owner === undefined) return { ...one, owner: me };
        return one;
      });
    }
    if (JSON.stringify(now) === JSON.stringify(before)) return { shards: now, moves };
  }
  throw new Error("it never comes to rest");
};

const free = (count: number): Ownership[] =>
  Array.from({ length: count }, (_, shard) => ({ shard }));
const counts = (shards: readonly Ownership[]) =>
  [...Map.groupBy(shards, (one) => one.owner ?? "nobody").values()].map((one) => one.length).sort();

describe("shards", () => {
  test("are all owned and evenly spread, whoever is there", () => {
    for (let relays = 1; relays <= 10; relays += 1) {
      const members = Array.from({ length: relays }, (_, index) => `relay-${index}`);
      const { shards } = settle(members, free(8));
      const found = counts(shards);
      expect(shards.every((one) => one.owner !== undefined)).toBe(true);
      expect(Math.max(...found) - Math.min(...found)).toBeLessThanOrEqual(1);
    }
  });

  test("move only as far as a newcomer's share", () => {
    const alone = free(8).map((one) => ({ ...one, owner: "a" }));
    const { shards, moves } = settle(["a", "b", "c"], alone);
    expect(counts(shards)).toEqual([2, 3, 3]);
    expect(shards.filter((one) => one.owner === "a")).toHaveLength(3);
    // Two members may reach for one shard; more than that would be thrash.
    expect(moves).toBeLessThanOrEqual(10);
  });

  test("do not move when they are spread evenly already, whoever comes first by name", () => {
    const owners = ["z", "z", "z", "y", "y", "y", "a", "a"];
    const even = free(8).map((one, index) => ({ ...one, owner: owners[index] as string }));
    for (const me of ["a", "y", "z"]) {
      expect(planShare(me, ["a", "y", "z"], even)).toEqual({ take: [], give: [] });
    }
  });

  test("of a relay that is gone go to those that are left", () => {
    const left = free(8).map((one) => (one.shard < 4 ? { ...one, owner: "a" } : one));
    expect(counts(settle(["a", "b"], left).shards)).toEqual([4, 4]);
    expect(counts(settle(["a"], left).shards)).toEqual([8]);
  });

  test("that somebody owns who is not known to be alive are left alone", () => {
    const stray = free(2).map((one) => ({ ...one, owner: "ghost" }));
    expect(planShare("a", ["a"], stray)).toEqual({ take: [], give: [] });
  });

  test("go to a relay that does not see itself among the living yet", () => {
    expect(planShare("new", [], free(2)).take).toEqual([0, 1]);
  });
});
