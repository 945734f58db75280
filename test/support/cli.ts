/** What a verb of the command gets in tests: a folder of its own, and everything it said. */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describeHost, silentReport } from "@outrider/stack";
import type { Context } from "../../apps/cli/src/main.ts";
import { testEnvironment } from "./environment.ts";

export type TestContext = Context & Readonly<{ said: readonly string[]; abort(why: string): void }>;

export const createTestContext = (more: Partial<Context> = {}): TestContext => {
  const said: string[] = [];
  const controller = new AbortController();
  return {
    root: resolve(import.meta.dirname, "../.."),
    stateRoot: more.stateRoot ?? mkdtempSync(join(tmpdir(), "outrider-cli-")),
    // The services that the tests run on are not those that the command is to find.
    host: describeHost({
      ...testEnvironment(),
      DATABASE_URL: undefined,
      KAFKA_BOOTSTRAP_SERVERS: undefined,
      REDIS_URL: undefined,
    }),
    settings: { outrider: { stack: "embedded" } },
    bun: process.execPath,
    report: { ...silentReport, say: (line) => void said.push(line) },
    isTerminal: false,
    signal: controller.signal,
    said,
    abort: (why) => controller.abort(new Error(why)),
    ...more,
  };
};
