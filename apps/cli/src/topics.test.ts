import { describe as suite, expect, test } from "bun:test";
import { describe } from "./topics.ts";

suite("describe", () => {
  test("tells what was done from what would be done", () => {
    const plan = { topic: "order-events", action: "create", differences: [] } as const;
    expect(describe(plan, "apply")).toEqual(["order-events: created"]);
    expect(describe(plan, "plan")).toEqual(["order-events: would be created"]);
  });

  test("lists each difference with both values", () => {
    const differences = [{ setting: "partitions", wanted: "12", actual: "6" }];
    expect(describe({ topic: "t", action: "differs", differences }, "apply")).toEqual([
      "t: differs, and was left alone",
      "  partitions is 6, declared 12",
    ]);
  });
});
