import { afterEach, describe, expect, jest, test } from "bun:test";
import { createReporter } from "./reporter.ts";

afterEach(() => void jest.useRealTimers());

/** A reporter on a screen of this width (undefined: no terminal), with a clock of its own. */
const setUp = (columns: number | undefined) => {
  jest.useFakeTimers();
  let nowMs = 0;
  let written = "";
  const report = createReporter({
    write: (text) => {
      written += text;
    },
    columns: () => columns,
    nowMs: () => nowMs,
  });
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= 200) {
      nowMs += 200;
      jest.advanceTimersByTime(200);
    }
  };
  return { report, pass, written: () => written };
};

describe("without a terminal", () => {
  test("a short step says nothing", () => {
    const { report, pass, written } = setUp(undefined);
    const step = report.step("kafka");
    pass(4_000);
    step.end();
    report.say("kafka ready");
    expect(written()).toBe("kafka ready\n");
  });

  test("a long step is mentioned seldom, with how far it is", () => {
    const { report, pass, written } = setUp(undefined);
    const step = report.step("kafka");
    step.note("3 of 46 jars");
    pass(6_000);
    expect(written()).toBe("kafka: 3 of 46 jars, 5 s\n");
    pass(10_000);
    expect(written()).toBe("kafka: 3 of 46 jars, 5 s\n");
    step.note("40 of 46 jars");
    pass(10_000);
    expect(written()).toEndWith("kafka: 40 of 46 jars, 25 s\n");
    step.end();
  });

  test("nothing rewrites a line", () => {
    const { report, pass, written } = setUp(undefined);
    const step = report.step("kafka");
    pass(60_000);
    step.end();
    expect(written()).not.toContain("\r");
  });
});

describe("on a terminal", () => {
  test("running steps share the last line, and what is said stays above it", () => {
    const { report, pass, written } = setUp(80);
    const kafka = report.step("kafka");
    const postgres = report.step("postgres");
    pass(1_000);
    report.say("hello");
    const [before = "", after = ""] = written().split("hello\n");
    expect(before).toEndWith("\r\u001b[2K");
    expect(after).toContain("kafka: starting, 1 s   postgres: starting, 1 s");
    kafka.end();
    postgres.end();
    expect(written()).toEndWith("\r\u001b[2K");
  });

  test("the line never wraps", () => {
    const { report, pass, written } = setUp(20);
    const step = report.step("a step with a long title");
    pass(400);
    step.end();
    const lines = written().split("\r\u001b[2K");
    expect(Math.max(...lines.map((line) => line.length))).toBe(19);
  });

  test("ending a step twice is the same as once", () => {
    const { report, written } = setUp(80);
    const step = report.step("kafka");
    step.end();
    const once = written();
    step.end();
    expect(written()).toBe(once);
  });
});
