/**
 * A worker that ends, or is away for long, before and after each of its statements and commits,
 * while another one takes over: the records come again, claims run out. Whatever the step, every
 * event has one outcome, one effect where it was handled, and the effects of a key are in order.
 */

import { beforeAll, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { discardLetter } from "@outrider/redrive";
import type { Handler } from "@outrider/inbox";
import { sceneBehind } from "../support/intercept.ts";
import type { Between } from "../support/intercept.ts";
import {
  boom,
  deps,
  feed,
  recordsOf,
  resetScene,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import type { Scene } from "../support/parking-scene.ts";
import { createSeen, findingsOf, seeingHandler } from "../support/seen.ts";
import { until } from "../support/until.ts";

useParkingScene();
beforeAll(createSeen);

type Way = "ends before" | "ends after" | "is away before" | "is away after";

/** Later ones are looks that find nothing. */
const stepsMax = 50;

/** Longer than a claim lasts. */
const awayMs = 120;
const claimMs = 60;

/** What happens at the n-th step of a worker; the worker is another one's when it has ended. */
const at = (step: number, way: Way) => {
  let steps = 0;
  let isOver = false;
  const away = Promise.withResolvers<void>();
  const between: Between = {
    around: async (run) => {
      if (isOver) throw new Error("it has ended");
      steps += 1;
      const isNow = steps === step;
      if (isNow && way === "ends before") isOver = true;
      if (isOver) throw new Error("it ends");
      if (isNow && way === "is away before") await away.promise;
      const result = await run();
      if (isNow && way === "ends after") isOver = true;
      if (isOver) throw new Error("it ends");
      if (isNow && way === "is away after") await away.promise;
      return result;
    },
  };
  return { scene: sceneBehind(between), comeBack: away.resolve, steps: () => steps };
};

/** One fails at first, one can never succeed, and one comes twice. */
const records = (): KafkaRecord[] => {
  const all = recordsOf("a1 b1 a2 c1 a3 b2");
  return [...all, { ...(all[2] as KafkaRecord), offset: 6 }];
};
const handler: Handler = seeingHandler((n, attempt, key) => {
  if (key === "c") return fault("invalid", "never");
  return key === "a" && n === 1 && attempt < 3 && boom;
});

const work = (scene: Scene, given: readonly KafkaRecord[]) => {
  const partition = feed(handler, given, { scene });
  const runner = startRunning(handler, { scene, claimMs, parkedPollMs: 2 });
  return { partition, runner };
};

const isQuiet = async (): Promise<boolean> => {
  const [row] = await sql<{ due: number; outcomes: number }[]>`
    select (select count(*)::int from outrider.parked where state = 'due') as due,
      (select count(*)::int from outrider.inbox) as outcomes`;
  return row?.due === 0 && row.outcomes === 6;
};

const decideAll = async (): Promise<void> => {
  for (const { id } of await sql`select id from outrider.dead_letters where state = 'open'`) {
    await sql.begin((tx) =>
      discardLetter(tx, { id: Number(id), by: "test", reason: "a fault test" }),
    );
  }
};

/** Returns how many steps the worker has made. */
const run = async (step: number, way: Way): Promise<number> => {
  const given = records();
  const first = at(step, way);
  work(first.scene, given);
  await Promise.race([
    until(isQuiet, { what: "the first worker", timeoutMs: 2000, pollMs: 5 }).catch(() => {}),
    delay(awayMs),
  ]);
  work(deps(), given);
  await delay(way.startsWith("is") ? awayMs : 0);
  first.comeBack();
  await until(isQuiet, { what: `the end of step ${step}`, timeoutMs: 20_000, pollMs: 5 });
  await decideAll();
  expect([step, way, await findingsOf(given)]).toEqual([step, way, []]);
  await resetScene();
  return first.steps();
};

for (const way of ["ends before", "ends after", "is away before", "is away after"] as const) {
  test(`a worker that ${way} any of its steps`, async () => {
    let cases = 0;
    for (let step = 1; step <= cases + 1 && step < stepsMax; step += 1) {
      const made = await run(step, way);
      if (made >= step) cases = step;
    }
    console.log(`${cases} steps`);
    expect(cases).toBeGreaterThan(10);
  }, 120_000);
}
