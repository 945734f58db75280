/** Totals of a JUnit report, as Bun's and Node's test runners write it. */

export type Totals = Readonly<{
  passed: number;
  failed: number;
  /** By name, since what was not shown must not look as if it were. */
  skipped: readonly string[];
}>;

export const readTotals = (xml: string): Totals => {
  const cases = xml.match(/<testcase\b[^>]*?(\/>|>[^]*?<\/testcase>)/g) ?? [];
  const failed = cases.filter((one) => /<(failure|error)\b/.test(one)).length;
  const skipped = cases.filter((one) => /<skipped\b/.test(one)).map(nameOf);
  return { passed: cases.length - failed - skipped.length, failed, skipped };
};

export const addTotals = (all: readonly Totals[]): Totals => ({
  passed: all.reduce((sum, one) => sum + one.passed, 0),
  failed: all.reduce((sum, one) => sum + one.failed, 0),
  skipped: all.flatMap((one) => one.skipped),
});

const escapes: Readonly<Record<string, string>> = {
  ...{ "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&" },
};

const nameOf = (testCase: string): string => {
  const [, name = ""] = /\bname="([^"]*)"/.exec(testCase) ?? [];
  return name.replace(/&\w+;/g, (escape) => escapes[escape] ?? escape);
};
