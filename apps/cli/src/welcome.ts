/** What one wants to know when everything runs. */

import { example } from "./project.ts";

type App = Readonly<{ spec: Readonly<{ name: string }>; url: string }>;

export const welcome = (
  running: readonly App[],
  { seconds, stateDir, key }: Readonly<{ seconds: string; stateDir: string; key: string }>,
): string => {
  const urlOf = (name: string) => running.find(({ spec }) => spec.name === name)?.url ?? "";
  const shop = urlOf("shop");
  return [
    "",
    `Everything is ready after ${seconds} s.`,
    "",
    `  API docs  ${shop}/docs`,
    `  ops docs  ${urlOf("ops")}/docs: any user, the key as password; then Authorize with it`,
    `  queues    ${urlOf("ops")}/queues: timers of retries, with the same password`,
    `  ops key   ${key}`,
    `  logs      ${stateDir}/logs`,
    `  state     ${stateDir}/stack.json`,
    "",
    "Try it:",
    `  curl -i ${shop}${example.path} -H 'content-type: application/json' \\`,
    `    -d '${JSON.stringify(example.body)}'`,
    "",
    "And look at what has become of it:",
    "  bun run outrider handlers",
    `  curl ${urlOf("ops")}/v1/handlers -H 'authorization: Bearer ${key}'`,
    "",
    "Ctrl-C stops it all; the data stays.",
    "",
  ].join("\n");
};
