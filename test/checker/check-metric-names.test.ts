import { expect, test } from "bun:test";
import { checkMetricNames } from "./check-metric-names.ts";

const metric = (name: string, type = "gauge", labels = "") =>
  `# HELP ${name} What it is.\n# TYPE ${name} ${type}\n${name}${labels} 1\n`;

test("names that follow the rules are accepted", () => {
  const text = [
    metric("events_total", "counter", '{service="shop",le_gal="a,b=\\"c\\""}'),
    metric("age_seconds"),
    metric("pass_duration_seconds", "histogram"),
  ].join("");
  expect(checkMetricNames(text)).toEqual([]);
});

test("each broken rule is told", () => {
  const broken: [string, string][] = [
    ["", "there is no metric"],
    ["# TYPE age_seconds gauge\nage_seconds 1\n", "age_seconds has no help"],
    [metric("handlesOpen"), "handlesOpen is not snake_case"],
    [metric("events", "counter"), "events is a counter and does not end with _total"],
    [metric("handles_total"), "handles_total is no counter and ends with _total"],
    [metric("events_count"), "events_count ends like a part of a histogram"],
    [metric("open_gauge"), "open_gauge has its type in its name"],
    [metric("age_ms"), "age_ms is not in a base unit, which are seconds and bytes"],
    [metric("age_seconds", "gauge", '{isOpen="1"}'), "the label isOpen is not snake_case"],
  ];
  for (const [text, sentence] of broken) expect(checkMetricNames(text)).toEqual([sentence]);
});
