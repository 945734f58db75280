import { expect, test } from "bun:test";
import { fault, isFault } from "@outrider/event";
import { checkTimers } from "./checks.ts";

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
