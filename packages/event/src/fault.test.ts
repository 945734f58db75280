import { expect, test } from "bun:test";
import { Fault, fault, faultCodes, isFault } from "./fault.ts";

test("a fault carries its code, its message and its context", () => {
  const cause = new Error("below");
  const problems = [{ pointer: "/a", detail: "wrong" }];
  const one = fault("invalid", "No", { problems, details: { n: 1 }, retryAfterMs: 5, cause });
  expect(one).toBeInstanceOf(Error);
  expect(one).toMatchObject({
    name: "Fault",
    code: "invalid",
    message: "No",
    problems,
    details: { n: 1 },
    retryAfterMs: 5,
    cause,
  });
});

test("without context it has none, and no cause at all", () => {
  const one = fault("internal", "No");
  expect(one).toMatchObject({ problems: [], details: {}, retryAfterMs: undefined });
  expect("cause" in one).toBe(false);
});

test("a fault is known by its code, whatever copy of the class made it", () => {
  const foreign = Object.assign(new Error("No"), { name: "Fault", code: "conflict" });
  expect(foreign instanceof Fault).toBe(false);
  expect(isFault(foreign)).toBe(true);
  expect(isFault(foreign, "conflict")).toBe(true);
  expect(isFault(foreign, "invalid")).toBe(false);
});

test("anything else is none", () => {
  const others = [
    undefined,
    null,
    "conflict",
    { name: "Fault", code: "conflict" },
    new Error("conflict"),
    Object.assign(new Error(), { name: "Fault" }),
    Object.assign(new Error(), { code: "conflict" }),
  ];
  for (const other of others) expect(isFault(other)).toBe(false);
});

test("no code stands in the table twice", () => {
  expect(new Set(faultCodes).size).toBe(faultCodes.length);
});
