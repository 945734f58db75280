import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";
import { createWaker } from "./waker.ts";

const lease = (shard: number): Lease => ({ shard, owner: "me", epoch: "1", layout: 1 });

/** A waker whose looks are answered by `answer`: the rows that the statement would give. */
const setUp = (answer: () => { shard: number; pending: boolean }[]) => {
  const lost: number[] = [];
  const warnings: string[] = [];
  let looks = 0;
  const sql = (async () => {
    looks += 1;
    return answer();
  }) as unknown as Sql;
  const log: Log = {
    child: () => log,
    debug: () => {},
    info: () => {},
    warn: (_, message) => void warnings.push(message),
    error: () => {},
  };
  const deps = { sql, owner: "me", log, onLost: (one: Lease) => void lost.push(one.shard) };
  const waker = createWaker(deps, { pollMinMs: 1, pollMaxMs: 2 });
  return { waker, lost, warnings, looks: () => looks };
};

test("a shard is woken when it has something to read, not before", async () => {
  let pending = false;
  const { waker, looks, lost } = setUp(() => [
    { shard: 1, pending },
    { shard: 2, pending: false },
  ]);
  const woken: number[] = [];
  const waits = [1, 2].map((shard) => waker.wait(lease(shard)).then(() => woken.push(shard)));
  while (looks() < 5) await Bun.sleep(1);
  expect(woken).toEqual([]);
  pending = true;
  await waits[0];
  while (looks() < 10) await Bun.sleep(1);
  expect(woken).toEqual([1]);
  waker.wake(2);
  await waits[1];
  expect(lost).toEqual([]);
});

test("a lease that does not come back is lost, and its shard is woken", async () => {
  const { waker, lost } = setUp(() => []);
  await waker.wait(lease(3));
  expect(lost).toEqual([3]);
});

test("a look that fails wakes everybody, since each must find out for itself", async () => {
  const { waker, lost, warnings } = setUp(() => {
    throw new Error("away");
  });
  await Promise.all([waker.wait(lease(1)), waker.wait(lease(2))]);
  expect(warnings).toEqual(["idle shards could not be looked over"]);
  expect(lost).toEqual([]);
});

test("nobody looks while nobody waits, and looking begins again with the next", async () => {
  const { waker, looks } = setUp(() => [{ shard: 1, pending: true }]);
  await waker.wait(lease(1));
  const before = looks();
  await Bun.sleep(20);
  expect(looks()).toBe(before);
  await waker.wait(lease(1));
  expect(looks()).toBe(before + 1);
});

test("waking a shard that does not wait is no matter", () => {
  setUp(() => []).waker.wake(5);
});
