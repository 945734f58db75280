/**
 * Whether a process's metrics are named as Prometheus asks: the rules of `promtool check metrics`,
 * which also runs where it is installed. Gives sentences about what is wrong.
 */

type Family = Readonly<{ name: string; type: string; hasHelp: boolean }>;

type Rule = Readonly<{ isBroken(family: Family): boolean; what: string }>;

const isSummed = (type: string): boolean => type === "histogram" || type === "summary";

const rules: readonly Rule[] = [
  { isBroken: ({ hasHelp }) => !hasHelp, what: "has no help" },
  { isBroken: ({ name }) => !/^[a-z][a-z0-9_]*$/.test(name), what: "is not snake_case" },
  {
    isBroken: ({ name, type }) => type === "counter" && !name.endsWith("_total"),
    what: "is a counter and does not end with _total",
  },
  {
    isBroken: ({ name, type }) => type !== "counter" && name.endsWith("_total"),
    what: "is no counter and ends with _total",
  },
  {
    isBroken: ({ name, type }) => !isSummed(type) && /_(bucket|count|sum)$/.test(name),
    what: "ends like a part of a histogram",
  },
  {
    isBroken: ({ name }) => /_(counter|gauge|histogram|summary)(_|$)/.test(name),
    what: "has its type in its name",
  },
  {
    isBroken: ({ name }) =>
      /_(ms|milliseconds?|us|microseconds?|ns|minutes?|hours?|days?|kb|mb|[kmg]i?bytes)(_|$)/.test(
        name,
      ),
    what: "is not in a base unit, which are seconds and bytes",
  },
];

/** `text` is in the format that `/metrics` answers. */
export const checkMetricNames = (text: string): string[] => {
  const helped = new Set(Array.from(text.matchAll(/^# HELP (\S+) \S/gm), ([, name]) => name));
  const families = Array.from(
    text.matchAll(/^# TYPE (\S+) (\S+)$/gm),
    ([, name = "", type = ""]) => {
      return { name, type, hasHelp: helped.has(name) };
    },
  );
  const labels = Array.from(text.matchAll(/[{,]([^\s={},"]+)="/g), ([, label = ""]) => label);
  return [
    ...(families.length === 0 ? ["there is no metric"] : []),
    ...families.flatMap((family) =>
      rules.filter((rule) => rule.isBroken(family)).map(({ what }) => `${family.name} ${what}`),
    ),
    ...[...new Set(labels)]
      .filter((label) => !/^[a-z][a-z0-9_]*$/.test(label))
      .map((label) => `the label ${label} is not snake_case`),
  ];
};
