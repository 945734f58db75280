import { expect, test } from "bun:test";
import { barChart, shown } from "./chart.ts";

test("a chart draws each bar as long as its median, from zero", () => {
  const bars = [
    { label: "a & b", spread: { median: 50, min: 40, max: 100 } },
    { label: "c", spread: { median: 25, min: 25, max: 25 } },
  ];
  const svg = barChart("Speed <1>", "events/s", bars);
  const widths = [...svg.matchAll(/width="([\d.]+)" height="18"/g)].map((match) =>
    Number(match[1]),
  );
  expect(widths).toEqual([215, 107.5]);
  expect(svg).toContain("a &#38; b");
  expect(svg).not.toContain("<1>");
});

test("values are short", () => {
  expect([0.123, 12.34, 1234.5].map(shown)).toEqual(["0.12", "12.3", "1,235"]);
});
