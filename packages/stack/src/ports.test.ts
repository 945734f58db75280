import { describe, expect, test } from "bun:test";
import { choosePort } from "./ports.ts";

const anyFree = 49_999;

/** A machine on which these ports are taken. */
const probe =
  (...taken: readonly number[]) =>
  async (port: number) =>
    taken.includes(port) ? undefined : port === 0 ? anyFree : port;

describe("choosePort", () => {
  test("keeps the port of the last run", async () => {
    expect(await choosePort([5001, 5000], probe())).toBe(5001);
  });

  test("takes the usual port where there was no last run", async () => {
    expect(await choosePort([undefined, 5000], probe())).toBe(5000);
  });

  test("takes the usual port when the last one is taken", async () => {
    expect(await choosePort([5001, 5000], probe(5001))).toBe(5000);
  });

  test("takes any free port when all others are taken", async () => {
    expect(await choosePort([5001, 5000], probe(5000, 5001))).toBe(anyFree);
  });

  test("takes any free port where 0 is wanted", async () => {
    expect(await choosePort([undefined, 0], probe())).toBe(anyFree);
  });

  test("says so when nothing is free", async () => {
    await expect(choosePort([5000], probe(0, 5000))).rejects.toThrow("no free port");
  });
});
