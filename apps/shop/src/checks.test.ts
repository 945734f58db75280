import { expect, test } from "bun:test";
import { fault, isFault } from "@outrider/event";
import type { GroupState } from "@outrider/inbox";
import { checkConsumers, checkLife, checkPartitions, checkTimers } from "./checks.ts";

const group = (change: Partial<GroupState> = {}): GroupState => ({
  group: "shop",
  isConnected: true,
  isJoined: true,
  partitions: 12,
  unresolved: 0,
  failing: [],
  halted: [],
  callMs: 0,
  silenceMs: 0,
  unread: [],
  ...change,
});

const failureOf = (act: () => void): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

test("a worker whose consumers are connected and read everything is ready", () => {
  expect(failureOf(() => checkConsumers([group(), group({ group: "slow" })]))).toBeUndefined();
  expect(failureOf(() => checkPartitions([group(), group()]))).toBeUndefined();
  expect(failureOf(() => checkConsumers([]))).toBeUndefined();
});

test("a consumer that is not connected makes it unready, by name", () => {
  const groups = [group(), group({ group: "slow", isConnected: false })];
  const failure = failureOf(() => checkConsumers(groups));
  expect(isFault(failure, "unavailable") && failure.message).toContain("slow");
  expect(isFault(failure) && failure.message).not.toContain("shop");
});

test("a partition that is not read makes it unready, by name", () => {
  const halted = [7, 8].map((partition) => {
    return { topic: "order-events", partition, reason: "the topic has been made anew" };
  });
  const failure = failureOf(() => checkPartitions([group(), group({ halted })]));
  expect(isFault(failure, "watermark_out_of_range") && failure.message).toBe(
    "Not read until `outrider partition resume`: order-events/7, 8 of shop, " +
      "since the topic has been made anew",
  );
});

test("an event that is being retried does not: the others go on", () => {
  const failing = [
    { handler: "h", topic: "t", partition: 0, offset: 1, attempt: 3, error: new Error("no") },
  ];
  expect(failureOf(() => checkConsumers([group({ failing })]))).toBeUndefined();
  expect(failureOf(() => checkPartitions([group({ failing })]))).toBeUndefined();
});

test("a worker that has not joined all of its groups is not ready, and names them", () => {
  const groups = [group(), group({ group: "slow", isJoined: false })];
  const failure = failureOf(() => checkConsumers(groups));
  expect(isFault(failure, "unavailable") && failure.message).toBe("Still joining: slow");
});

test("a worker without timers says why, and what of it", async () => {
  const check = (checking: Promise<void>, redisUrl?: string) =>
    checkTimers({ checkTimers: () => checking }, redisUrl).catch((error: unknown) => error);
  expect(await check(Promise.resolve(), "redis://r")).toBeUndefined();
  const away = await check(Promise.reject(fault("unavailable", "Redis is away")), "redis://r");
  const late = "Retries come up to a second late until then";
  expect(isFault(away, "unavailable") && away.message).toBe(`Redis is away. ${late}`);
  const none = await check(Promise.resolve());
  expect(isFault(none, "unavailable") && none.message).toBe(`REDIS_URL is not set. ${late}`);
});

test("a worker is dead when a call hangs, no broker answers or nobody reads for long", () => {
  const limits = { callMaxMs: 10, silenceMaxMs: 20, unreadMaxMs: 30 };
  const at = { topic: "order-events", partition: 7 };
  const check = (change: Partial<GroupState>) =>
    failureOf(() => checkLife([group(), group({ group: "slow", ...change })], limits));
  const well = { callMs: 10, silenceMs: 20, unread: [{ ...at, forMs: 30 }] };
  expect(check(well)).toBeUndefined();
  for (const [change, word] of [
    [{ callMs: 11 }, "hangs"],
    [{ silenceMs: 21 }, "broker"],
    [{ unread: [{ ...at, forMs: 31 }] }, "order-events/7"],
  ] as const) {
    const failure = check({ ...well, ...change });
    expect(isFault(failure, "unavailable") && failure.message).toContain(word);
    expect(isFault(failure) && failure.message).toContain("Group slow");
  }
});
