/**
 * For rules of parking a run in which one is broken, by a statement put in the place of the real
 * one, and the same run with the real one. The difference must be seen: transactions of one key
 * that ran beside each other (S8), and events given up for what others have done (S9).
 */

import { describe, expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { redriveLetter } from "@outrider/redrive";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { claimDue } from "../../packages/inbox/src/parking/queue.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { checkBlame } from "../checker/check-blame.ts";
import { claimAll, createGate, freshLooks, runClaimed, runOf } from "../support/actors.ts";
import { sceneBehind } from "../support/intercept.ts";
import {
  boom,
  countOf,
  feed,
  name,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import type { Scene } from "../support/parking-scene.ts";
import { overlapsOf, seeingHandler, useSeen } from "../support/seen.ts";
import { until } from "../support/until.ts";

useParkingScene();
useSeen();

type Rewrite = (statement: string) => string;
const sound: Rewrite = (text) => text;

describe("skipped events that are redriven while a later one of their key runs", () => {
  const run = async (rewrite: Rewrite): Promise<string[]> => {
    const scene = sceneBehind({ rewrite });
    const work = createWork(scene);
    const [a1, a2, a3] = recordsOf("a1 a2 a3") as [KafkaRecord, KafkaRecord, KafkaRecord];
    const gate = createGate("the run of a3");
    const handler = seeingHandler(async (n) => void (n === 3 && (await gate.pass())), {
      onBury: "skip",
    });
    for (const one of [a1, a2]) {
      await work.putAway(handler, createDelivery(one), fault("invalid", "never"));
    }
    const running = work.unit(runOf(handler, [a3]));
    await gate.reached();
    const fresh = freshLooks(scene.sql);
    for (const { id } of await sql`select id from outrider.dead_letters order by id`) {
      await scene.sql.begin((tx) =>
        redriveLetter(tx, { id: Number(id), by: "ann", reason: "a test" }),
      );
      await fresh.look();
    }
    await fresh.look();
    for (const claim of await claimAll(scene.sql)) await runClaimed(claim, handler, scene);
    gate.open();
    await running;
    return overlapsOf();
  };

  test("run beside nothing", async () => {
    expect(await run(sound)).toEqual([]);
  });

  const sabotages: readonly Readonly<{ rule: string; rewrite: Rewrite }>[] = [
    {
      rule: "a head that a redrive makes is fresh",
      rewrite: (text) => text.replace("clock_timestamp(), true)", "clock_timestamp(), false)"),
    },
    {
      rule: "a head that a second redrive meets stays fresh",
      rewrite: (text) =>
        text.includes("due_at, fresh)")
          ? text
          : text.replace(
              "do update set handler = excluded.handler",
              "do update set handler = excluded.handler, fresh = false",
            ),
    },
    {
      rule: "who was writing when it was seen is waited for",
      rewrite: (text) => text.replace("mode = 'RowExclusiveLock'", "false"),
    },
  ];
  for (const { rule, rewrite } of sabotages) {
    test(`broken: ${rule}`, async () => {
      expect(await run(rewrite)).toEqual(["a3 a1", "a3 a2"]);
    });
  }
});

describe("an event is given up only for failures of its own", () => {
  const attemptsMax = 3;

  /** Whatever `fails` gives is thrown; failures of the events themselves are counted. */
  const createWorld = (fails: (n: number, run: number) => Error | false) => {
    const [runs, failures] = [new Map<string, number>(), new Map<string, number>()];
    const add = (counts: Map<string, number>, id: string): number => {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      return counts.get(id) as number;
    };
    const handler = seeingHandler(
      (n, _attempt, key) => {
        const error = fails(n, add(runs, `${key}${n}`));
        if (error && !("code" in error)) add(failures, `${key}${n}`);
        return error;
      },
      { retry: { attemptsMax, baseMs: 1, capMs: 1 } },
    );
    return { handler, failures };
  };
  type World = ReturnType<typeof createWorld>;
  const findings = async ({ handler, failures }: World, scene: Scene): Promise<string[]> => {
    startRunning(handler, { scene });
    const isOver = async () =>
      (await sql`select from outrider.parked where state = 'due'`).length === 0 ||
      (await countOf("dead_letters")) > 0;
    await until(isOver, { what: "an outcome", pollMs: 5 });
    const dead = await sql<{ name: string }[]>`
      select convert_from(key, 'UTF8') || sequence as name from outrider.dead_letters`;
    const given = { dead: dead.map((row) => row.name), failures, attemptsMax };
    return checkBlame(given).map((one) => one.kind);
  };

  const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  type Blaming = Readonly<{ rule: string; rewrite: Rewrite; run(scene: Scene): Promise<string[]> }>;
  const cases: readonly Blaming[] = [
    {
      rule: "an outage",
      rewrite: (text) => text.replace("set attempt = attempt + ", "set attempt = attempt + 1 + "),
      run: async (scene) => {
        const world = createWorld((_, run) => (run <= 6 ? away : run === 7 && boom));
        await resolved(feed(world.handler, recordsOf("a1"), { scene }));
        return findings(world, scene);
      },
    },
    {
      rule: "another one of its batch",
      rewrite: (text) =>
        text.replace(
          "update outrider.parked set token = null where head = ",
          `update outrider.parked p set token = null, attempt = attempt + (
            select case when count(*) > 1 then 2 else 0 end from outrider.parked other
            where other.head = p.head and other.token is not null) where head = `,
        ),
      run: async (scene) => {
        // a3 fails once, which is their batch's failure, and a2 once when it runs alone.
        const world = createWorld(
          (n, run) => ((n === 3 && run === 1) || (n === 2 && run === 2)) && boom,
        );
        const deliveries = recordsOf("a2 a3").map((one) => createDelivery(one));
        await createWork(scene).parkUnrun(world.handler, deliveries);
        return findings(world, scene);
      },
    },
    {
      rule: "the end of its worker",
      rewrite: (text) => text.replace("set lost = lost + 1,", "set lost = lost + 1, attempt = 2,"),
      run: async (scene) => {
        const world = createWorld((_, run) => run === 1 && boom);
        const [a1] = recordsOf("a1") as [KafkaRecord];
        await createWork(scene).parkUnrun(world.handler, [createDelivery(a1)]);
        await claimAll(scene.sql, 1);
        const again = () =>
          scene.sql.begin((tx) => claimDue(tx, [name], { claimMs: 1, headsMax: 1 }));
        await until(async () => (await again()).length > 0, { what: "its claim", pollMs: 2 });
        return findings(world, scene);
      },
    },
  ];

  for (const { rule, rewrite, run } of cases) {
    test(`and not for ${rule}`, async () => {
      expect(await run(sceneBehind({ rewrite: sound }))).toEqual([]);
    });
    test(`broken: not for ${rule}`, async () => {
      expect(await run(sceneBehind({ rewrite }))).toEqual(["blamed"]);
    });
  }
});
