/** What one wants to know when everything runs. */

import { example } from "./project.ts";

type App = Readonly<{ spec: Readonly<{ name: string }>; url: string }>;

export const welcome = (
  running: readonly App[],
  { seconds, stateDir }: Readonly<{ seconds: string; stateDir: string }>,
): string => {
  const shop = running.find(({ spec }) => spec.name === "shop")?.url ?? "";
  return [
    "",
    `Everything is ready after ${seconds} s.`,
    "",
    `  API docs  ${shop}/docs`,
    `  logs      ${stateDir}/logs`,
    `  state     ${stateDir}/stack.json`,
    "",
    "Try it:",
    `  curl -i ${shop}${example.path} -H 'content-type: application/json' \\`,
    `    -d '${JSON.stringify(example.body)}'`,
    "",
    "Ctrl-C stops it all; the data stays.",
    "",
  ].join("\n");
};
