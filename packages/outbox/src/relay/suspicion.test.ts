import { expect, test } from "bun:test";
import { createSuspicion } from "./suspicion.ts";

const cause = { code: "MSG_SIZE_TOO_LARGE", message: "too large" };

/** Publishes `ids` against a broker that refuses batches with a poisoned row in them. */
const publish = (ids: readonly number[], poison: ReadonlySet<number>, batchMax: number) => {
  const suspicion = createSuspicion(batchMax);
  const published: number[] = [];
  const buried: number[] = [];
  let refusals = 0;
  let left = [...ids];
  for (let pass = 0; left.length > 0 && pass < 10_000; pass += 1) {
    const batch = left.slice(0, suspicion.rowsMax());
    const condemned = suspicion.condemned()?.id;
    if (condemned === batch[0] && condemned !== undefined) {
      buried.push(condemned);
      left = left.slice(1);
      suspicion.pass(condemned);
    } else if (batch.some((id) => poison.has(id))) {
      refusals += 1;
      suspicion.refuse(batch, cause);
    } else {
      published.push(...batch);
      left = left.slice(batch.length);
      suspicion.pass(batch.at(-1) as number);
    }
  }
  return { published, buried, refusals, rowsMax: suspicion.rowsMax() };
};

const range = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

test("the refused row is found and buried, and every other one is published in order", () => {
  for (const bad of [1, 2, 500, 777, 1000]) {
    const { published, buried, refusals } = publish(range(2000), new Set([bad]), 1000);
    expect(buried).toEqual([bad]);
    expect(published).toEqual(range(2000).filter((id) => id !== bad));
    // 1000, 500, 250, ... 1: about log2, and never a row at a time.
    expect(refusals).toBeLessThanOrEqual(11);
  }
});

test("several refused rows are each found, and full batches come back", () => {
  const poison = new Set([3, 4, 900]);
  const { published, buried, rowsMax } = publish(range(5000), poison, 1000);
  expect(buried).toEqual([3, 4, 900]);
  expect(published).toHaveLength(4997);
  expect(rowsMax).toBe(1000);
});

test("a refusal that does not come back buries nothing", () => {
  const suspicion = createSuspicion(100);
  suspicion.refuse(range(100), cause);
  expect(suspicion.rowsMax()).toBe(50);
  suspicion.pass(50);
  expect(suspicion.rowsMax()).toBe(50);
  suspicion.pass(100);
  expect(suspicion.rowsMax()).toBe(100);
  expect(suspicion.condemned()).toBeUndefined();
});

test("a row that is condemned beforehand is so until it is buried", () => {
  const suspicion = createSuspicion(100);
  suspicion.condemn(7, cause);
  suspicion.pass(6);
  expect(suspicion.condemned()).toEqual({ id: 7, cause });
  suspicion.pass(7);
  expect(suspicion.condemned()).toBeUndefined();
});
