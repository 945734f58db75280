/**
 * An event that ends whoever runs it ends two workers at most, and three children of theirs, and
 * is dead then; all others are handled. The same run with one rule of that broken: the event goes
 * on killing. A worker that ends here is one whose statements are all refused from then on; its
 * transactions are rolled back, as Postgres does with those of a process that is gone.
 */

import { beforeAll, beforeEach, expect, test } from "bun:test";
import { startInbox } from "@outrider/inbox";
import type { Isolation } from "@outrider/inbox";
import type { KafkaRecord, Subscribe } from "@outrider/event";
import { discardLetter } from "@outrider/redrive";
import { createGate } from "../support/actors.ts";
import type { Gate } from "../support/actors.ts";
import { fixedLogs } from "../support/fixed-logs.ts";
import { inProcess } from "../support/in-process.ts";
import { sceneBehind } from "../support/intercept.ts";
import type { Scene } from "../support/parking-scene.ts";
import { countOf, recordsOf, sql, topic, useParkingScene } from "../support/parking-scene.ts";
import { createSeen, findingsOf, seeingHandler } from "../support/seen.ts";
import { until } from "../support/until.ts";

useParkingScene();
beforeAll(createSeen);
beforeEach(async () => {
  await sql`truncate outrider.readers, outrider.trials, outrider.watermarks`;
});

type Rewrite = (statement: string) => string;

type Sabotage = Readonly<{
  rewrite?: Rewrite;
  /** Most records that the later workers have in flight; the first one has more. */
  laterMax?: number;
  /** Another worker reads a part of the log, and leaves, before the first one gets anything. */
  hasGuest?: boolean;
}>;

/** Of one partition; it is given to its reader once the gate is open. */
type Log = Readonly<{ records: readonly KafkaRecord[]; gate?: Gate }>;

const subscribeTo =
  ({ records, gate }: Log, isLost: () => boolean): Subscribe =>
  (_group, _topics, events) => {
    const at = { topic, partition: 0 };
    const assigning = events
      .onAssign([{ ...at, low: 0, high: records.length }])
      .then(async ([start]) => {
        await gate?.pass();
        events.onRecords(records.slice(start?.offset ?? 0));
      });
    return {
      pause: () => {},
      resume: () => {},
      commit: async () => {},
      isHealthy: () => true,
      vitals: () => ({ callMs: 0, silenceMs: 0, partitions: [] }),
      rejoin: () => {},
      close: async () => {
        await assigning.catch(() => {});
        await events.onRevoke([at], isLost());
      },
    };
  };

/** Ends when it runs the killer; at most `admittedMax` records are in flight. */
const startWorker = (
  log: Log,
  admittedMax: number,
  { rewrite, isolate }: Readonly<{ rewrite: Rewrite; isolate(scene: Scene): Isolation }>,
) => {
  let isDead = false;
  const live = (): void => {
    if (isDead) throw new Error("it has ended");
  };
  const scene = sceneBehind({
    rewrite,
    around: async (run) => {
      live();
      const result = await run();
      live();
      return result;
    },
  });
  const handler = seeingHandler(
    (_n, _attempt, key) => {
      isDead ||= key === "x";
      return isDead && new Error("it ends");
    },
    { onBury: "skip" },
  );
  const inbox = startInbox(
    [handler],
    {
      ...scene,
      isolation: isolate(scene),
      subscribe: subscribeTo(log, () => isDead),
      readLogs: fixedLogs(log.records.length),
    },
    {
      ...{ group: "test", admittedMax, watermarkMs: 10, drainMs: 20, readerDeadMs: 60_000 },
      ...{ parkedPollMs: 5, claimMs: 200, retry: { baseMs: 1, capMs: 5 } },
    },
  );
  return { isDead: () => isDead, stop: inbox.stop };
};

/** Of its children one may run it among others. */
const endsMax = { workers: 2, children: 3 };

const plainly: Rewrite = (text) => text;

const run = async ({
  rewrite = plainly,
  laterMax = 10,
  hasGuest = false,
}: Sabotage): Promise<string[]> => {
  const records = recordsOf("a1 b1 x1 b2 a2");
  const ended = { workers: 0, children: 0 };
  const isKilling = () => ended.workers > endsMax.workers || ended.children > endsMax.children;
  const isQuiet = async () =>
    (await countOf("inbox")) === records.length && (await countOf("parked")) === 0;
  const isolate = (scene: Scene): Isolation => ({
    ...inProcess(scene),
    run: (claims, ...how) => {
      const rows = claims.flatMap((claim) => claim.rows);
      const isKiller = rows.some((row) => String(row.record.key) === "x");
      if (!isKiller) return inProcess(scene).run(claims, ...how);
      ended.children += 1;
      return Promise.resolve({ kind: "killed" });
    },
  });
  const how = { rewrite, isolate };
  const visit = async (gate: Gate): Promise<void> => {
    await gate.reached();
    const guest = startWorker({ records: records.slice(0, 1) }, 10, how);
    const isDone = async () => (await countOf("inbox")) === 1 && (await countOf("parked")) === 0;
    await until(isDone, { what: "what the guest handles", pollMs: 5 });
    await guest.stop();
    gate.open();
  };
  for (let isAlive = false; !isAlive && !isKilling();) {
    const gate = hasGuest && ended.workers === 0 ? createGate("the first reader") : undefined;
    const log = { records, ...(gate && { gate }) };
    const worker = startWorker(log, ended.workers ? laterMax : 10, how);
    if (gate) await visit(gate);
    const isOver = async () => worker.isDead() || isKilling() || (await isQuiet());
    await until(isOver, { what: "a worker's end, or an outcome for every event", pollMs: 5 });
    await worker.stop();
    isAlive = !worker.isDead();
    if (!isAlive) ended.workers += 1;
  }
  const letters = await sql<{ id: number; code: string }[]>`
    select id::float8 as id, code from outrider.dead_letters where state = 'open'`;
  for (const { id } of letters) {
    await sql.begin((tx) => discardLetter(tx, { id, by: "ann", reason: "a test" }));
  }
  return [
    ...letters.map((letter) => letter.code),
    ended.workers > endsMax.workers ? "too many workers" : "workers",
    ended.children > endsMax.children ? "too many children" : "children",
    ...(await findingsOf(records)),
  ];
};

for (const hasGuest of [false, true]) {
  const when = hasGuest ? ", also when somebody else has read a part and left" : "";
  test(`an event that ends whoever runs it is given up, others are handled${when}`, async () => {
    expect(await run({ hasGuest })).toEqual(["PROCESS_KILLED", "workers", "children"]);
  }, 20_000);
}

const sabotages: readonly Readonly<Sabotage & { rule: string; found: string }>[] = [
  {
    rule: "who reads a partition says so until it gives it back",
    rewrite: (text) => text.replace("and r.instance <>", "and false and r.instance <>"),
    found: "too many workers",
  },
  {
    rule: "nobody removes the row of a reader that is alive",
    rewrite: (text) =>
      text.replace("r.seen_at < clock_timestamp() - ", "r.seen_at < clock_timestamp() + "),
    hasGuest: true,
    found: "too many workers",
  },
  {
    rule: "as many are on record as may have been in flight",
    laterMax: 1,
    found: "too many workers",
  },
  {
    rule: "what was on record when its reader ended is suspect",
    rewrite: (text) => text.replace("and instance <>", "and false and instance <>"),
    found: "too many workers",
  },
  {
    rule: "the end of a process that ran one event counts",
    rewrite: (text) => text.replace("set killed = killed + 1", "set killed = killed"),
    found: "too many children",
  },
];

for (const { rule, found, ...sabotage } of sabotages) {
  test(`broken: ${rule}`, async () => {
    expect(await run(sabotage)).toContain(found);
  }, 20_000);
}
