import { expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { checkTimers } from "./checks.ts";

const failureOf = (act: () => void): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

test("a worker without timers says why, and what of it", () => {
  expect(failureOf(() => checkTimers({ hasTimers: () => true }, "redis://r"))).toBeUndefined();
  const away = failureOf(() => checkTimers({ hasTimers: () => false }, "redis://r"));
  expect(isFault(away, "unavailable") && away.message).toContain("Redis is away");
  const none = failureOf(() => checkTimers({ hasTimers: () => false }));
  expect(isFault(none, "unavailable") && none.message).toContain("REDIS_URL is not set");
});
