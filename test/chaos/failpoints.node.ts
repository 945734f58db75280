/**
 * A relay that ends, or is away for longer than its lease, right before or right after each thing
 * that it does, while keys are blocked, held and released. Another relay takes over. The history
 * must be as if nothing had happened, also when the first goes on where it stood.
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { OpenPublisher } from "@outrider/event";
import { createOpenPublisher } from "@outrider/kafka";
import type { Relay, RelayDeps, Store } from "@outrider/outbox";
import { discardLetter, redriveLetter, searchLetters } from "@outrider/redrive";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import { range } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";
import { createHistoryScene } from "./history-scene.ts";
import type { HistoryScene } from "./history-scene.ts";

type Side = "before" | "after";
type Step = keyof Store | "publish";

/**
 * `times`: at which call of it; a step that is used from the start fails amid the work. `suspects`:
 * an owner has ended before, with so many rows on record.
 */
const steps: readonly Readonly<{ step: Step; times: number; suspects?: number }>[] = [
  { step: "beat", times: 2 },
  { step: "readOverview", times: 2 },
  { step: "readLastId", times: 1 },
  { step: "readWriters", times: 1 },
  { step: "claimShard", times: 5 },
  { step: "look", times: 2 },
  { step: "readPending", times: 12 },
  { step: "publish", times: 6 },
  { step: "settle", times: 6 },
  { step: "readBlocks", times: 9 },
  { step: "bury", times: 1 },
  { step: "hold", times: 1 },
  { step: "applyVerdict", times: 1 },
  { step: "readHeld", times: 1 },
  { step: "settleHeld", times: 1 },
  { step: "unblock", times: 1 },
  { step: "buryHeld", times: 1 },
  { step: "markSuspects", times: 3, suspects: 4 },
  { step: "markTrying", times: 3, suspects: 1 },
  { step: "markAlive", times: 3, suspects: 4 },
  { step: "releaseShard", times: 4 },
  { step: "leave", times: 1 },
];

const openPublisher = createOpenPublisher(testKafka(), silentLog, { clientId: "failpoints" });
const tooLarge = () => randomBytes(20_000).toString("base64");
const keys = range(1, 6).map((n) => `key-${n}`);
const leaseTtlMs = 500;
const leases = { leaseTtlMs, leaseMarginMs: 100, renewMs: 100, batchMax: 4 };

/** Cases run side by side, each on a database of its own: most of a case is waiting for leases. */
const sideBySide = 4;
let free: HistoryScene[] = [];
before(async () => {
  const scenes = Array.from({ length: sideBySide }, () => createHistoryScene(openPublisher));
  free = await Promise.all(scenes);
});
after(async () => {
  await Promise.all(free.map((scene) => scene.end()));
});

type Point = Readonly<{ step: Step; side: Side; times: number }>;

/** What a relay is made of, so that nothing of it goes on once it has come to the failpoint. */
const createFailpoint = ({ store: real }: HistoryScene, { step, side, times }: Point) => {
  const reached = Promise.withResolvers<void>();
  const resumed = Promise.withResolvers<void>();
  let calls = 0;
  let isDown = false;

  const pass = async (name: Step, at: Side): Promise<void> => {
    if (name === step && at === side && !isDown) {
      calls += 1;
      isDown = calls === times;
      if (isDown) reached.resolve();
    }
    if (isDown) await resumed.promise;
  };

  const around = (name: keyof Store) => {
    const act = real[name] as (...args: never[]) => unknown;
    return async (...args: never[]) => {
      await pass(name, "before");
      const result = await act(...args);
      await pass(name, "after");
      return result;
    };
  };
  const store = Object.fromEntries(
    Object.keys(real).map((name) => [name, around(name as keyof Store)]),
  ) as Store;

  const open: OpenPublisher = async (shard) => {
    const publisher = await openPublisher(shard);
    const publish: typeof publisher.publish = (records) => {
      let isRefused = () => false;
      const send = async () => {
        await pass("publish", "before");
        const delivery = publisher.publish(records);
        isRefused = delivery.isRefused;
        await delivery.done;
        await pass("publish", "after");
      };
      const done = send();
      // As the real one's: whoever has lost interest need not listen.
      done.catch(() => {});
      return { done, isRefused: () => isRefused() };
    };
    return { ...publisher, publish };
  };

  return {
    deps: { store, openPublisher: open } satisfies Partial<RelayDeps>,
    reached: reached.promise,
    resume: resumed.resolve,
  };
};

/**
 * Decides about what is buried, as soon as it is. What ended its process may be in Kafka all the
 * same, so it is published again; it would be in the history, discarded or not.
 */
const startOperator = ({ sql }: HistoryScene) => {
  let isOver = false;
  const work = async (): Promise<void> => {
    while (!isOver) {
      for (const { id, code } of await searchLetters(sql, { state: "open" }, { limit: 10 })) {
        const decide = code === "PROCESS_KILLED" ? redriveLetter : discardLetter;
        await sql.begin((tx) => decide(tx, { id, by: "failpoints", reason: "a fault test" }));
      }
      await delay(20);
    }
  };
  const ended = work();
  return async () => {
    isOver = true;
    await ended;
  };
};

const isDone = async ({ sql }: HistoryScene): Promise<boolean> => {
  const [row] = await sql`
    select not exists (select from outrider.outbox) and not exists (select from outrider.blocked)
      and not exists (select from outrider.outbox_held) as done`;
  return row?.done === true;
};

type Case = Point & Readonly<{ suspects: number | undefined; resumes: boolean }>;

const run = async (one: Case): Promise<void> => {
  const scene = free.pop();
  assert.ok(scene);
  try {
    await runOn(scene, one);
  } finally {
    await scene.reset();
    free.push(scene);
  }
};

const runOn = async (scene: HistoryScene, { suspects, resumes, ...point }: Case): Promise<void> => {
  const counting = countingOn(await createTopic(3, 10_000));
  const write = async (from: number, to: number) => {
    for (const n of range(from, to)) {
      for (const key of keys) await scene.write(counting, key, n);
      await scene.write(counting, "bad", n, n % 4 === 2 ? tooLarge() : undefined);
    }
  };
  if (suspects !== undefined) await crashWith(scene, suspects);
  await write(1, 8);
  const failpoint = createFailpoint(scene, point);
  const first = scene.start(failpoint.deps, leases);
  const stopOperator = startOperator(scene);
  let ending: Promise<void> | undefined;
  if (point.step === "releaseShard" || point.step === "leave") ending = stopLater(first);
  try {
    await Promise.race([failpoint.reached, failIn(10_000, `${point.step} was not reached`)]);
    scene.start({}, leases);
    await write(9, 12);
    if (resumes) {
      await delay(leaseTtlMs + 300);
      failpoint.resume();
      await write(13, 16);
    }
    await until(() => isDone(scene), { what: "the end of the work", timeoutMs: 15_000 });
    assert.deepEqual(await scene.findings(counting.topic), []);
  } finally {
    failpoint.resume();
    await ending;
    await stopOperator();
  }
};

/** An owner of every shard has ended amid rows that are among the next ones. */
const crashWith = async ({ sql }: HistoryScene, suspects: number): Promise<void> => {
  await sql`
    update outrider.shards
    set owner = gen_random_uuid(), deadline = clock_timestamp() - interval '1 s',
      suspect_rows = ${suspects}, suspect_last = (
        select case when is_called then last_value else 0 end + 20 from outrider.outbox_id_seq)`;
};

const stopLater = async (relay: Relay): Promise<void> => {
  await delay(500);
  await relay.stop();
};

const failIn = async (ms: number, message: string): Promise<never> => {
  await delay(ms, undefined, { ref: false });
  throw new Error(message);
};

const cases = steps.flatMap(({ step, times, suspects }) =>
  (["before", "after"] as const).flatMap((side) =>
    [false, true].map((resumes) => ({ step, side, times, suspects, resumes })),
  ),
);

describe("a relay that", { concurrency: sideBySide }, () => {
  for (const one of cases) {
    const what = one.resumes ? "is away for longer than its lease" : "ends";
    test(`${what} ${one.side} ${one.step}`, { timeout: 60_000 }, () => run(one));
  }
});
