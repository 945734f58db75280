/**
 * Runs what is parked: it claims the heads that are due and runs their events, side by side over
 * keys and in order within each. Any worker of the handlers may do it. Whoever wakes it up only
 * saves time: it looks by itself, too.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Sql } from "@outrider/postgres";
import type { Breakers } from "../breaker.ts";
import type { Handler } from "../handler.ts";
import { queueKeyName } from "../run-batch.ts";
import { createFreshHeads } from "./fresh.ts";
import type { ParkedRow } from "./parked-row.ts";
import { claimDue, readDueHandlers, releaseClaims, renewClaims } from "./queue.ts";
import type { Claim, ClaimOptions } from "./queue.ts";
import { runClaim, runTogether } from "./run-claim.ts";
import type { ClaimDeps, Outcome } from "./run-claim.ts";
import { isFirstSuspicion, runSuspect, runSuspectsTogether } from "./suspect.ts";
import type { Isolation } from "./suspect.ts";

export type RunnerLimits = Readonly<{
  /** How often it looks for heads that are due. */
  parkedPollMs: number;
  /** How often it looks whether keys of redriven events may be run. */
  freshPollMs: number;
  /** Most runs at the same time. */
  parkedKeysMax: number;
  /** How long a claim lasts without renewal; another worker takes over after it. */
  claimMs: number;
  /** How old an event may get by transient failures before it is given up. */
  transientMaxAgeMs: number;
}>;

type OfRun = "transientMaxAgeMs" | "stopping" | "onHandler";

export type RunnerDeps = Omit<ClaimDeps, OfRun> &
  Readonly<{
    /** Where events run that a process may have died of. */
    isolation: Isolation;
    breakers: Pick<Breakers, "isOpen" | "tryProbe" | "yield" | "succeeded" | "failed">;
    onHandled?(handler: string, events: number, durationMs: number): void;
    /** A run of one parked event by itself. */
    onFailed?(handler: string): void;
    onBuried?(handler: string, code: string): void;
    /** A key has been run, and may be due again later. */
    onSettled?(): void;
  }>;

export type Runner = Readonly<{
  /** Looks at once. */
  wake(): void;
  stop(abortMs: number): Promise<void>;
}>;

export const startRunner = (
  handlers: readonly Handler[],
  deps: RunnerDeps,
  limits: RunnerLimits,
): Runner => {
  const { sql, log } = deps;
  const byName = new Map(handlers.map((handler) => [handler.name, handler]));
  const fresh = createFreshHeads(sql, [...byName.keys()], limits.freshPollMs);
  const singly = handlers.filter((one) => one.effects === "external").map((one) => one.name);
  const ending = new AbortController();
  const stopping = new AbortController();
  const claimed = new Set<Claim>();
  const running = new Set<Promise<void>>();
  let pause = new AbortController();
  const renewal = setInterval(() => {
    if (claimed.size > 0) renewClaims(sql, [...claimed], limits.claimMs).catch(() => {});
  }, limits.claimMs / 3);

  const look = async (): Promise<boolean> => {
    await fresh.look();
    const free = limits.parkedKeysMax - running.size;
    if (free <= 0) return false;
    const except = [...claimed].map((claim) => claim.head);
    const options = { claimMs: limits.claimMs, headsMax: free * keysPerRun, except, singly };
    const claims = await claimRunnable([...byName.keys()], deps, options);
    for (const claim of claims) claimed.add(claim);
    const tasks = tasksOf(claims, byName);
    for (const _ of tasks.slice(0, free)) {
      const one = work(tasks).finally(() => {
        running.delete(one);
        // There may be more behind what it has run.
        pause.abort();
        deps.onSettled?.();
      });
      running.add(one);
    }
    return claims.length > 0;
  };

  /** Side by side with others that take from the same tasks. */
  const work = async (tasks: Task[]): Promise<void> => {
    const signals = { ending: ending.signal, stopping: stopping.signal };
    for (let task = tasks.shift(); task && !ending.signal.aborted; task = tasks.shift()) {
      await run(task, { ...deps, ...signals, limits, onOver: (claim) => claimed.delete(claim) });
    }
  };

  const live = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const isBusy = await look().catch((error: unknown) => {
        log.warn({ err: error }, "parked events could not be looked for");
        return false;
      });
      if (isBusy) continue;
      await delay(limits.parkedPollMs, undefined, { signal: pause.signal }).catch(() => {});
      if (pause.signal.aborted) pause = new AbortController();
    }
  };
  const living = live();

  return {
    wake: () => pause.abort(),
    stop: async (abortMs) => {
      ending.abort();
      pause.abort();
      await living;
      const late = setTimeout(() => stopping.abort(), abortMs);
      await Promise.all(running);
      clearTimeout(late);
      clearInterval(renewal);
      await giveBack(sql, claimed);
      await deps.isolation.stop();
    },
  };
};

/** What has not begun counts for nobody. */
const giveBack = async (sql: Sql, claimed: ReadonlySet<Claim>): Promise<void> => {
  if (claimed.size === 0) return;
  // Otherwise it is found when the claims have run out.
  await sql.begin((tx) => releaseClaims(tx, [...claimed])).catch(() => {});
};

/** Most keys of one run, in one transaction. */
const keysPerRun = 25;

/** Of one handler. */
type Task = Readonly<{ handler: Handler; claims: readonly [Claim, ...Claim[]] }>;

/** Events that have not failed yet run together, whatever their keys; others key by key. */
const tasksOf = (claims: readonly Claim[], byName: ReadonlyMap<string, Handler>): Task[] =>
  [...Map.groupBy(claims, (claim) => claim.handler)].flatMap(([name, ofHandler]) => {
    const handler = byName.get(name) as Handler;
    const { untried = [], suspect = [], alone = [] } = Object.groupBy(ofHandler, companyOf);
    return [
      ...alone.map((claim) => [claim] as const),
      ...batchesOf(untried, handler.batchSizeMax),
      ...batchesOf(suspect, handler.batchSizeMax),
    ].map((together) => ({ handler, claims: together }));
  });

const companyOf = ({ rows: [row] }: Claim): "untried" | "suspect" | "alone" => {
  if (!row || row.attempt > 0) return "alone";
  if (row.lost === 0) return "untried";
  return isFirstSuspicion(row) ? "suspect" : "alone";
};

/** A claim that is larger than a batch is one of its own. */
const batchesOf = (claims: readonly Claim[], sizeMax: number): Task["claims"][] => {
  const batches: [Claim, ...Claim[]][] = [];
  let size = Infinity;
  for (const claim of claims) {
    size += claim.rows.length;
    if (size <= sizeMax) {
      batches.at(-1)?.push(claim);
      continue;
    }
    size = claim.rows.length;
    batches.push([claim]);
  }
  return batches;
};

/** Of a handler that is held back, one event at most, to see whether it still has to be. */
const claimRunnable = async (
  handlers: readonly string[],
  { sql, breakers }: RunnerDeps,
  options: ClaimOptions,
): Promise<Claim[]> => {
  const [held, free] = [
    handlers.filter(breakers.isOpen),
    handlers.filter((one) => !breakers.isOpen(one)),
  ];
  const claims = await sql.begin((tx) => claimDue(tx, free, options));
  if (held.length === 0) return claims;
  // What has been claimed has to be run, whatever comes behind it.
  const due = await readDueHandlers(sql, held).catch(() => []);
  for (const handler of due) {
    if (!(await breakers.tryProbe(handler))) continue;
    const one = { ...options, headsMax: 1, rowsMax: 1 };
    const [claim] = await sql
      .begin((tx) => claimDue(tx, [handler], one))
      // Whether it was claimed is not known; what was is found again when the claim has run out.
      .catch(() => []);
    if (claim) claims.push(claim);
    else await breakers.yield(handler);
  }
  return claims;
};

/** What a run says of its handler: an event that fails again, or by its own fault, says nothing. */
const tellBreakers = async (
  { handler, row }: Readonly<{ handler: Handler; row: ParkedRow | undefined }>,
  outcome: Outcome,
  breakers: RunnerDeps["breakers"],
): Promise<void> => {
  const { name } = handler;
  if (outcome.kind === "handled") return breakers.succeeded(name);
  const isNews = row?.attempt === 0 || breakers.isOpen(name);
  const isOwn = "failure" in outcome && outcome.failure.kind !== "deployment";
  if (outcome.kind === "failed" && row && isNews && isOwn) {
    return breakers.failed(name, queueKeyName(handler, row), outcome.failure);
  }
  return breakers.yield(name);
};

type Running = RunnerDeps &
  Readonly<{
    limits: RunnerLimits;
    /** Aborted: begin nothing new. */
    ending: AbortSignal;
    stopping: AbortSignal;
    /** Whatever has come of it. */
    onOver(claim: Claim): void;
  }>;

/** Together where there are several; what has not worked so, one after the other. */
const run = async ({ claims, handler }: Task, deps: Running): Promise<void> => {
  const claimDeps = { ...deps, transientMaxAgeMs: deps.limits.transientMaxAgeMs };
  if (claims.length > 1) {
    const isSuspect = (claims[0].rows[0]?.lost ?? 0) > 0;
    const runAll = isSuspect ? runSuspectsTogether : runTogether;
    const outcome = await runAll(claims, handler, claimDeps);
    if (outcome) {
      claims.forEach(deps.onOver);
      return tell({ handler, row: claims[0].rows[0] }, outcome, deps);
    }
  }
  for (const claim of claims) {
    if (deps.ending.aborted) return;
    const [row] = claim.rows;
    try {
      const outcome = await (row && row.lost > 0
        ? runSuspect({ claim, row, handler }, claimDeps)
        : runClaim(claim, handler, claimDeps));
      await tell({ handler, row }, outcome, deps);
    } catch (error) {
      // What could not be written down is found by whoever claims it next.
      const what = "a parked event's outcome was not stored";
      deps.log.warn({ handler: handler.name, err: error }, what);
    }
    deps.onOver(claim);
  }
};

const tell = async (
  ran: Readonly<{ handler: Handler; row: ParkedRow | undefined }>,
  outcome: Outcome,
  deps: Running,
): Promise<void> => {
  const { name } = ran.handler;
  if (outcome.kind === "handled") deps.onHandled?.(name, outcome.events, outcome.durationMs);
  if ("isRun" in outcome && outcome.isRun) deps.onFailed?.(name);
  if (outcome.kind === "buried") deps.onBuried?.(name, outcome.failure.code);
  await tellBreakers(ran, outcome, deps.breakers);
};
