/** A process for stack.test.ts: starts a stack in the folder of its argument, and stays. */

import { describeHost, silentReport, startStack } from "@outrider/stack";

await startStack({
  root: process.argv[2] ?? "",
  host: describeHost(process.env),
  report: silentReport,
  tier: "embedded",
  settings: { ports: { postgres: 0, kafka: 0, kafkaController: 0, redis: 0 } },
});
process.stdout.write("started\n");
