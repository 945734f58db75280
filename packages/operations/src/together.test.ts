import { expect, test } from "bun:test";
import { createTogether } from "./together.ts";

test("all who come amid a load share the next one, and see what is there by then", async () => {
  let [loads, truth] = [0, "old"];
  const gate = Promise.withResolvers<void>();
  const load = createTogether(async () => {
    loads += 1;
    const seen = truth;
    if (loads === 1) await gate.promise;
    return seen;
  });
  const first = load();
  await Promise.resolve();
  truth = "new";
  const later = Array.from({ length: 100 }, () => load());
  gate.resolve();
  expect(await first).toBe("old");
  expect(new Set(await Promise.all(later))).toEqual(new Set(["new"]));
  expect(loads).toBe(2);
});

test("a load that fails is told to those who waited for it, and to nobody else", async () => {
  let loads = 0;
  const load = createTogether(async () => {
    loads += 1;
    if (loads === 1) throw new Error("away");
    return loads;
  });
  expect(load()).rejects.toThrow("away");
  await Promise.resolve();
  expect(await load()).toBe(2);
});
