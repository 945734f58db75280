/**
 * Puts what several hands do to one database in an order that a test chooses: each hand is an
 * actor, and waits at gates for the others' statements and commits to be through.
 */

import type { KafkaRecord } from "@outrider/event";
import type { Handler } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { createFreshHeads } from "../../packages/inbox/src/parking/fresh.ts";
import { claimDue } from "../../packages/inbox/src/parking/queue.ts";
import type { Claim } from "../../packages/inbox/src/parking/queue.ts";
import { runClaim } from "../../packages/inbox/src/parking/run-claim.ts";
import type { Outcome } from "../../packages/inbox/src/parking/run-claim.ts";
import type { Run } from "../../packages/inbox/src/run-batch.ts";
import { sceneBehind } from "./intercept.ts";
import { atReset, deps, name, sql } from "./parking-scene.ts";
import type { Scene } from "./parking-scene.ts";
import { silentLog } from "./silent-log.ts";
import { until } from "./until.ts";

export type Gate = Readonly<{
  /** Somebody waits at it. */
  reached(): Promise<unknown>;
  /** Waits at it, as an actor does; for handlers, whose own code no actor stands in front of. */
  pass(): Promise<void>;
  open(): void;
}>;

const reachedMaxMs = 3000;
const gates = new Set<Gate>();

/** A test that fails leaves nobody waiting. */
atReset.add(() => {
  for (const gate of gates) gate.open();
  gates.clear();
});

export const createGate = (what = "the gate"): Gate => {
  const opened = Promise.withResolvers<void>();
  let isReached = false;
  const gate: Gate = {
    reached: () => until(() => isReached, { what, timeoutMs: reachedMaxMs, pollMs: 2 }),
    pass: () => {
      isReached = true;
      return opened.promise;
    },
    open: () => opened.resolve(),
  };
  gates.add(gate);
  return gate;
};

export type Actor = Readonly<{
  scene: Scene;
  /** Before the first statement from here on that contains the text; `commit` is one, too. */
  stopBefore(text: string): Gate;
}>;

export const createActor = (): Actor => {
  const stops = new Map<Gate, string>();
  const before = async (step: string): Promise<void> => {
    // A copy: the next gate may be put up while somebody waits at this one.
    for (const [gate, text] of [...stops]) {
      if (!step.includes(text)) continue;
      stops.delete(gate);
      await gate.pass();
    }
  };
  return {
    scene: sceneBehind({ before }),
    stopBefore: (text) => {
      const gate = createGate(`a statement with "${text}"`);
      stops.set(gate, text);
      return gate;
    },
  };
};

const waiting = async (): Promise<number> => {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`;
  return row?.count ?? 0;
};

/** Until so many sessions of the test's database wait for a lock. */
export const lockWaits = (count: number) =>
  until(async () => (await waiting()) === count, {
    ...{ what: `${count} waiting for a lock`, timeoutMs: reachedMaxMs, pollMs: 5 },
  });

/** Whether it ends, or has to wait for a lock; nobody else may be waiting for one. */
export const endsOrWaits = async (running: Promise<unknown>): Promise<"ends" | "waits"> => {
  let isOver = false;
  const over = () => void (isOver = true);
  running.then(over, over);
  return until(async () => (isOver ? "ends" : (await waiting()) > 0 && "waits"), {
    ...{ what: "an end, or a wait for a lock", timeoutMs: reachedMaxMs, pollMs: 5 },
  });
};

export const never = (): AbortSignal => new AbortController().signal;

/** What a lane gives to its work. */
export const runOf = (handler: Handler, records: readonly KafkaRecord[]): Run => ({
  ...{ handler, attempt: 1, log: silentLog, stopping: never() },
  deliveries: records.map((record) => createDelivery(record)),
});

/** What is due, claimed by one runner. */
export const claimAll = (client: Sql = sql, claimMs = 60_000): Promise<Claim[]> =>
  client.begin((tx) => claimDue(tx, [name], { claimMs, headsMax: 10 }));

/** Throws when nothing is due. */
export const claimOne = async (): Promise<Claim> => {
  const [claim] = await claimAll();
  if (!claim) throw new Error("nothing was due");
  return claim;
};

export const runClaimed = (
  claim: Claim,
  handler: Handler,
  scene: Scene = deps(),
): Promise<Outcome> =>
  runClaim(claim, handler, { ...scene, transientMaxAgeMs: 60_000, stopping: never() });

/** Looks for keys that redrives have opened again, as every runner does all the time. */
export const freshLooks = (client: Sql = sql) => createFreshHeads(client, [name], 0);

/** Of each claim, the numbers of its events by key: `a1,a2`. */
export const claimedNames = (claims: readonly Claim[]): string[] =>
  claims.map(({ rows }) =>
    rows.map(({ record }) => `${record.key}${JSON.parse(String(record.value)).n as number}`).join(),
  );
