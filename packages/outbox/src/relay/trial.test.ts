import { expect, test } from "bun:test";
import type { Lease } from "./lease.ts";
import { createTrial } from "./trial.ts";

/** A shard with rows 1 to `rows`, and what its row of `shards` remembers. */
const shardOf = (rows: number, batchMax: number) => {
  let next = 1;
  let epoch = 0;
  let crashes = 0;
  let isHeld = false;
  let trying: number | null = null;
  let tryingCrashes = 0;
  let suspects: Lease["suspects"];
  const buried: number[] = [];

  /** A process that lives until it hands `killer` to the client, or for so many batches. */
  const live = ({
    killer = 0,
    batches = Infinity,
  }): Readonly<{ batches: number; alone: number }> => {
    epoch += 1;
    if (isHeld) {
      crashes += 1;
      tryingCrashes = trying === null ? 0 : tryingCrashes + 1;
    }
    isHeld = true;
    const lease = { epoch: String(epoch), crashes, trying, tryingCrashes, suspects } as Lease;
    const trial = createTrial(batchMax);
    trial.begin(lease);
    const condemned = trying !== null && tryingCrashes > 1 ? trying : undefined;
    const lived = { batches: 0, alone: 0 };
    while (next <= rows && lived.batches < batches) {
      lived.batches += 1;
      const last = Math.min(rows, next + Math.min(batchMax, trial.rowsMax()) - 1);
      if (condemned === next) {
        buried.push(next);
        next += 1;
        continue;
      }
      if (!trial.isOver()) {
        const isAlone = trial.rowsMax() === 1;
        if (isAlone) lived.alone += 1;
        if (isAlone && trying !== last) tryingCrashes = 0;
        trying = isAlone ? last : null;
        suspects = isAlone ? undefined : { last, rows: last - next + 1 };
      }
      if (killer >= next && killer <= last && !buried.includes(killer)) return lived;
      trial.outlive(last - next + 1, last);
      next = last + 1;
      if (trial.isOver()) [crashes, trying, tryingCrashes, suspects] = [0, null, 0, undefined];
    }
    return lived;
  };
  return { live, buried, isEmpty: () => next > rows };
};

test("an event that ends its process is found in five deaths, wherever it stands", () => {
  for (const batchMax of [1, 2, 7, 100, 1000, 2000, 100_000]) {
    for (const killer of [1, 2, 3, 14, 159, 160, 1999, 2000, 2001, 5000]) {
      const shard = shardOf(5000, batchMax);
      let deaths = 0;
      for (shard.live({ killer }); !shard.isEmpty(); shard.live({ killer })) deaths += 1;
      expect(deaths).toBeLessThanOrEqual(5);
      expect(shard.buried).toEqual([killer]);
    }
  }
});

test("owners that somebody else has ended leave a few careful batches and bury nobody", () => {
  for (const kills of [1, 2, 3, 5, 20]) {
    const shard = shardOf(5000, 2000);
    for (let kill = 0; kill < kills; kill += 1) shard.live({ batches: 2 });
    const { batches, alone } = shard.live({});
    expect(shard.isEmpty()).toBe(true);
    expect(shard.buried).toEqual([]);
    // At most five single rows and two dozen batches, where all 2,000 rows went one by one.
    expect(alone).toBeLessThanOrEqual(5);
    expect(batches).toBeLessThanOrEqual(30);
  }
});

test("a relay's own failure neither ends a trial nor makes a batch fatal", () => {
  const trial = createTrial(1000);
  const lease = { epoch: "7", crashes: 1, trying: null, tryingCrashes: 0 } as Lease;
  trial.begin(lease);
  trial.outlive(400, 400);
  expect(trial.rowsMax()).toBe(64);
  // Claimed anew after a refusal; the rows on record have ended nobody.
  trial.begin({ ...lease, epoch: "8", suspects: { last: 500, rows: 100 } });
  expect(trial.rowsMax()).toBe(64);
  trial.outlive(600, 1000);
  expect(trial.isOver()).toBe(true);
  // The database has not heard of it: it is said once more.
  trial.begin({ ...lease, epoch: "9" });
  expect([trial.isOver(), trial.rowsMax()]).toEqual([false, 1000]);
});

test("an owner that gave the shard back leaves nothing to suspect", () => {
  const trial = createTrial(1000);
  trial.begin({ epoch: "3", crashes: 0, trying: null, tryingCrashes: 0 } as Lease);
  expect([trial.isOver(), trial.rowsMax()]).toEqual([true, Infinity]);
});
