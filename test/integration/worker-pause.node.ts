/** Workers with many groups that are stopped for longer than their sessions. Runs on Node. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "@outrider/postgres";
import { choosePort } from "@outrider/stack";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testEnvironment } from "../support/environment.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const groups = 12;
/** The least that a broker takes. */
const sessionMs = 6000;
const pauseMs = 6500;
const asks = 5;
/** With four threads for all of it a probe takes some 250 ms. */
const probeMaxMs = 100;
const stopMaxMs = 10_000;

let database: TestDatabase;

before(async () => {
  database = await createTestDatabase();
  const sql = connect({ url: database.url, name: "pause-test", poolMax: 1 });
  await sql`create table public.effects (handler text, event_id uuid)`;
  await sql.end();
});
after(() => database.drop());

const start = (topic: string, protocol: string, port: number): ChildProcess =>
  spawn(process.execPath, [join(import.meta.dirname, "../support/drill-worker.ts")], {
    stdio: "ignore",
    env: {
      ...testEnvironment(),
      ...{ DATABASE_URL: database.url, DRILL_TOPIC: topic, DRILL_PROTOCOL: protocol },
      ...{ DRILL_GROUPS: `${groups}`, DRILL_SESSION_MS: `${sessionMs}`, PORT: `${port}` },
    },
  });

const ask = async (port: number): Promise<Readonly<{ isReady: boolean; probeMs: number }>> => {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz?verbose`);
    const probeMs = Number(/kafka ok \((\d+) ms\)/.exec(await response.text())?.[1]);
    return { isReady: response.ok, probeMs };
  } catch {
    return { isReady: false, probeMs: Number.NaN };
  }
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

describe("a worker with twelve groups", { concurrency: true }, () => {
  for (const protocol of ["classic:cooperative-sticky", "classic:range"]) {
    test(`probes quickly, reads on after a pause, and ends: ${protocol}`, async () => {
      const port = await choosePort([0]);
      const child = start(await createTopic(2), protocol, port);
      const ended = once(child, "exit");
      try {
        const isReady = async () => (await ask(port)).isReady;
        await until(isReady, { what: "a worker", timeoutMs: 30_000, pollMs: 100 });
        const tookMs: number[] = [];
        for (let n = 0; n < asks; n += 1) tookMs.push((await ask(port)).probeMs);
        assert.ok(median(tookMs) <= probeMaxMs, `a probe took ${tookMs} ms`);
        child.kill("SIGSTOP");
        await delay(pauseMs);
        child.kill("SIGCONT");
        await until(async () => !(await isReady()), { what: "the loss", timeoutMs: 20_000 });
        await until(isReady, { what: "its partitions", timeoutMs: 20_000, pollMs: 100 });
        const startedMs = performance.now();
        child.kill("SIGTERM");
        assert.deepEqual(await ended, [0, null]);
        assert.ok(performance.now() - startedMs < stopMaxMs);
      } finally {
        child.kill("SIGKILL");
      }
    });
  }
});
