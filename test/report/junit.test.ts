import { expect, test } from "bun:test";
import { addTotals, readTotals } from "./junit.ts";

const report = `<testsuites><testsuite name="a.test.ts">
  <testcase name="one" time="0.1" />
  <testcase name="two &gt; three" time="0.1">
    <failure message="expected 1">at a.test.ts</failure>
  </testcase>
  <testcase name="four &amp; &quot;more&quot; (needs a tool)"><skipped /></testcase>
  <testcase name="five"></testcase>
</testsuite></testsuites>`;

test("every test case is counted once, by its outcome, and what is skipped is named", () => {
  const skipped = ['four & "more" (needs a tool)'];
  expect(readTotals(report)).toEqual({ passed: 2, failed: 1, skipped });
});

test("a report without a test case has none", () => {
  expect(readTotals("<testsuites></testsuites>")).toEqual({ passed: 0, failed: 0, skipped: [] });
});

test("totals add up", () => {
  const one = { passed: 1, failed: 2, skipped: ["a"] };
  expect(addTotals([one, one])).toEqual({ passed: 2, failed: 4, skipped: ["a", "a"] });
});
