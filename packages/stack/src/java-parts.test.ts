import { expect, test } from "bun:test";
import { sharedOnce } from "./java-parts.ts";
import type { JavaParts } from "./java-parts.ts";
import { silentReport } from "./report.ts";
import type { ToolNeed } from "./tools.ts";

test("services that start side by side get the jars once, or the same failure", async () => {
  let asked = 0;
  const need = { purpose: "fly" } as ToolNeed;
  const step = silentReport.step("kafka");
  const parts = { java: { command: "java", id: "17" } } as JavaParts;
  const both = sharedOnce(async () => {
    asked += 1;
    return parts;
  });
  expect(await Promise.all([both(need, step), both(need, step)])).toEqual([parts, parts]);
  expect(asked).toBe(1);

  const neither = sharedOnce(() => Promise.reject(new Error("no network")));
  for (const one of [neither(need, step), neither(need, step)]) {
    await expect(one).rejects.toThrow("no network");
  }
});
