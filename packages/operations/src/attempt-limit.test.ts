import { expect, test } from "bun:test";
import { createAttemptLimit, networkOf } from "./attempt-limit.ts";

const setUp = (limits: Parameters<typeof createAttemptLimit>[1]) => {
  let nowMs = 0;
  const limit = createAttemptLimit(() => nowMs, limits);
  return { limit, pass: (ms: number) => void (nowMs += ms) };
};

test("an address that has failed too often waits for the end of its window", () => {
  const { limit, pass } = setUp({ failuresMax: 2, windowMs: 1000 });
  limit.failed("a", "one");
  limit.failed("a", "one");
  expect(limit.waitMs("a")).toBeUndefined();
  pass(300);
  limit.failed("a", "two");
  expect(limit.waitMs("a")).toBe(700);
  expect(limit.waitMs("b")).toBeUndefined();
  pass(700);
  expect(limit.waitMs("a")).toBeUndefined();
  limit.failed("a", "three");
  expect(limit.waitMs("a")).toBeUndefined();
});

test("addresses are forgotten where there are too many, the first ones first", () => {
  const { limit } = setUp({ failuresMax: 1, addressesMax: 2 });
  for (const address of ["a", "b", "c"]) limit.failed(address, "wrong");
  expect(["a", "b", "c"].map((one) => limit.waitMs(one) !== undefined)).toEqual([
    ...[false, true, true],
  ]);
});

test("of IPv6, addresses of one network count as one, however they are written", () => {
  const same = ["2001:db8:1:2::1", "2001:DB8:0001:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"];
  for (const address of same) expect(networkOf(address)).toBe("2001:db8:1:2");
  expect(networkOf("2001:db8:1:3::1")).toBe("2001:db8:1:3");
  expect(networkOf("2001:db8::1")).toBe("2001:db8:0:0");
  expect(networkOf("2001::2:3:4:5:6:7")).toBe("2001:0:2:3");
  expect(networkOf("::1")).toBe("0:0:0:0");
  expect(networkOf("fe80::1%eth0")).toBe("fe80:0:0:0");
});

test("IPv4 counts by its address, also where it comes as IPv6", () => {
  expect(networkOf("10.0.0.1")).toBe("10.0.0.1");
  expect(networkOf("::ffff:10.0.0.1")).toBe("10.0.0.1");
  expect(networkOf("unknown")).toBe("unknown");
});

test("who has failed too often waits for the window's end, wherever in its network it is", () => {
  let nowMs = 0;
  const limit = createAttemptLimit(() => nowMs, { failuresMax: 2, windowMs: 1000 });
  limit.failed("2001:db8::1", "one");
  expect(limit.waitMs("2001:db8::2")).toBeUndefined();
  nowMs = 400;
  limit.failed("2001:db8::2", "two");
  expect(limit.waitMs("2001:db8::3")).toBe(600);
  expect(limit.waitMs("2001:db8:0:1::3")).toBeUndefined();
  nowMs = 1000;
  expect(limit.waitMs("2001:db8::1")).toBeUndefined();
});
