/** Horizontal bars as SVG: one bar a row, from zero, with a line from minimum to maximum. */

import type { Spread } from "./statistics.ts";

export type Bar = Readonly<{ label: string; spread: Spread }>;

const labelWidth = 190;
const barsWidth = 430;
const valueWidth = 150;
const rowHeight = 30;
const topHeight = 34;

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

export const barChart = (title: string, unit: string, bars: readonly Bar[]): string => {
  const largest = Math.max(...bars.map((bar) => bar.spread.max), 1e-9);
  const x = (value: number) => labelWidth + (value / largest) * barsWidth;
  const rows = bars.map(({ label, spread }, index) => {
    const y = topHeight + index * rowHeight;
    const middle = y + rowHeight / 2;
    const { median, min, max } = spread;
    return [
      `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end">${escape(label)}</text>`,
      `<rect x="${labelWidth}" y="${y + 6}" width="${round(x(median) - labelWidth)}" height="18"/>`,
      `<line x1="${round(x(min))}" x2="${round(x(max))}" y1="${middle}" y2="${middle}"/>`,
      `<text x="${round(x(max)) + 8}" y="${middle + 4}">${shown(median)} ${escape(unit)}</text>`,
    ].join("");
  });
  const width = labelWidth + barsWidth + valueWidth;
  const height = topHeight + bars.length * rowHeight + 8;
  const style =
    "text{font:13px sans-serif;fill:#222}rect{fill:#4a7ab5}line{stroke:#222;stroke-width:2}" +
    ".t{font-weight:bold}.b{fill:#fff}";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"`,
    ` width="${width}" height="${height}" role="img" aria-label="${escape(title)}">`,
    `<style>${style}</style><rect class="b" width="${width}" height="${height}"/>`,
    `<text class="t" x="8" y="20">${escape(title)}</text>`,
    ...rows,
    "</svg>\n",
  ].join("\n");
};

const round = (value: number): number => Math.round(value * 10) / 10;

/** Three digits or so. */
export const shown = (value: number): string => {
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
};
