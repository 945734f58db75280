import { describe, expect, test } from "bun:test";
import { choosePort, portOrder, probePort, reserveFree } from "./ports.ts";

const anyFree = 49_999;

/** A machine on which these ports are taken. */
const probe =
  (...taken: readonly number[]) =>
  async (port: number) =>
    taken.includes(port) ? undefined : port === 0 ? anyFree : port;

describe("choosePort", () => {
  test("takes the usual port when it is free, whatever was used last", async () => {
    expect(await choosePort(portOrder(5000, 5001), probe())).toBe(5000);
  });

  test("takes the port of the last run when the usual one is taken", async () => {
    expect(await choosePort(portOrder(5000, 5001), probe(5000))).toBe(5001);
  });

  test("keeps the port of the last run where there is no usual one", async () => {
    expect(await choosePort(portOrder(0, 5001), probe())).toBe(5001);
    expect(await choosePort(portOrder(0, undefined), probe())).toBe(anyFree);
  });

  test("takes any free port when all others are taken", async () => {
    expect(await choosePort(portOrder(5000, 5001), probe(5000, 5001))).toBe(anyFree);
    expect(await choosePort(portOrder(5000, undefined), probe(5000))).toBe(anyFree);
  });

  test("takes any free port where 0 is wanted", async () => {
    expect(await choosePort([undefined, 0], probe())).toBe(anyFree);
  });

  test("says so when nothing is free", async () => {
    await expect(choosePort([5000], probe(0, 5000))).rejects.toThrow("no free port");
  });
});

test("a free port is not what was chosen a moment ago and is still free", async () => {
  const port = await probePort(0);
  expect(await probePort(port as number)).toBe(port as number);
  const found = [port, port, undefined];
  expect(await reserveFree(async () => found.shift())).toBeUndefined();
  expect(found).toEqual([]);
  expect(await reserveFree(async () => port)).toBeUndefined();
});
