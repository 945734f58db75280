/**
 * Events that their process may have died of. A claim that was not heard of again proves only that
 * a worker ended, so its events are run in a process of their own, a child of the worker's: what
 * ends that one is seen by the worker, which lives on. Most are innocent, so they run together
 * first; where that does not work, each runs alone.
 */

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { on, once } from "node:events";
import { backoffMs, within } from "@outrider/event";
import type { Log } from "@outrider/event";
import type { Handler } from "../handler.ts";
import type { RunEnd } from "./failed-attempts.ts";
import { countKill, postpone, split } from "./outcome.ts";
import type { ParkedRow } from "./parked-row.ts";
import { readClaims } from "./queue.ts";
import type { Claim } from "./queue.ts";
import { bury, runClaim, runTogether, store } from "./run-claim.ts";
import type { ClaimDeps, Outcome } from "./run-claim.ts";

/**
 * `killed`: its process ended while it ran. `unrun`: it could not be started, or had to stop.
 * `apart`: several did not work together, nothing of it stays, and each has to run alone.
 */
export type Isolated = Outcome | Apart | Readonly<{ kind: "killed" }> | Readonly<{ kind: "unrun" }>;
type Apart = Readonly<{ kind: "apart" }>;

type Claims = readonly [Claim, ...Claim[]];

export type Isolation = Readonly<{
  /** Runs claims of one handler in the child, in one transaction; other calls wait meanwhile. */
  run(claims: Claims, handler: Handler, how: How): Promise<Isolated>;
  stop(): Promise<void>;
}>;

type How = Readonly<{
  /** In a process that has run nothing else before. */
  inFresh: boolean;
  transientMaxAgeMs: number;
  stopping: AbortSignal;
}>;

export type IsolationSettings = Readonly<{
  /** Of the child's program, which calls `serveSuspects`. */
  entry: string;
  args?: readonly string[];
  log: Log;
  /** Until it says that it is ready. */
  startMaxMs?: number;
  /** What it may need beyond the handler's time limit, before it is taken to hang. */
  graceMs?: number;
  /** Without work for so long it ends. */
  idleMs?: number;
}>;

/** `started` and `returned` are said of the handler's code alone. */
type Message =
  | Readonly<{ kind: "ready" | "started" | "returned" }>
  | Readonly<{ kind: "ended"; outcome: Outcome | Apart }>;

/** What the worker tells its child. */
type Order = Pick<ClaimDeps, "transientMaxAgeMs"> &
  Readonly<{ claims: readonly Pick<Claim, "head" | "token">[] }>;

type Child = Readonly<{
  process: ChildProcess;
  /** What it says next; undefined when it ends or says nothing for so long. */
  next(maxMs?: number): Promise<Message | undefined>;
}>;

export const createIsolation = ({
  entry,
  args = [],
  log,
  startMaxMs = 15_000,
  graceMs = 5000,
  idleMs = 10_000,
}: IsolationSettings): Isolation => {
  let child: Child | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let idle: NodeJS.Timeout | undefined;

  const end = async (): Promise<void> => {
    clearTimeout(idle);
    const process = child?.process;
    child = undefined;
    if (!process?.pid || process.exitCode !== null || process.signalCode !== null) return;
    process.kill("SIGKILL");
    await once(process, "exit");
  };

  const start = async (): Promise<Child | undefined> => {
    if (child?.process.connected) return child;
    await end();
    child = startChild(fork(entry, args), log);
    return (await child.next(startMaxMs))?.kind === "ready" ? child : undefined;
  };

  const tell = async (order: Order, handler: Handler, { process, next }: Child) => {
    process.send(order, () => {});
    let message = await next(startMaxMs);
    const isStarted = message?.kind === "started";
    if (isStarted) message = await next(handler.timeoutMs + graceMs);
    // The database may be away now, which is no reason to end the process.
    if (message?.kind === "returned") message = await next();
    if (message?.kind === "ended") return message.outcome;
    return { kind: isStarted ? "killed" : "unrun" } as const;
  };

  const runNow = async (
    claims: Claims,
    handler: Handler,
    { inFresh, transientMaxAgeMs, stopping }: How,
  ): Promise<Isolated> => {
    clearTimeout(idle);
    if (inFresh) await end();
    const started = stopping.aborted ? undefined : await start();
    if (!started) {
      await end();
      return { kind: "unrun" };
    }
    const stop = () => void started.process.kill("SIGKILL");
    stopping.addEventListener("abort", stop, { once: true });
    const order = {
      claims: claims.map(({ head, token }) => ({ head, token })),
      transientMaxAgeMs,
    };
    const isolated = await tell(order, handler, started);
    stopping.removeEventListener("abort", stop);
    if (isolated.kind === "killed" || isolated.kind === "unrun") await end();
    else idle = setTimeout(() => void end(), idleMs).unref();
    return stopping.aborted && isolated.kind === "killed" ? { kind: "unrun" } : isolated;
  };

  return {
    run: (claims, handler, how) => {
      const running = last.then(() => runNow(claims, handler, how));
      last = running.catch(() => {});
      return running;
    },
    stop: end,
  };
};

const startChild = (process: ChildProcess, log: Log): Child => {
  process.on("error", (error) => log.error({ err: error }, "no process for a suspect event"));
  // Keeps what is said before it is asked for.
  const messages = on(process, "message", { close: ["exit"] });
  return {
    process,
    next: async (maxMs = Infinity) => {
      const next = messages.next().catch(() => undefined);
      for (let leftMs = maxMs; leftMs > 0; leftMs -= stepMs) {
        const said = await within(stepMs, next);
        if (said !== "late") return said && !said.done ? (said.value[0] as Message) : undefined;
      }
      return undefined;
    },
  };
};

/**
 * Its time is measured in steps: when this process was stopped itself, or blocked, it has to hear
 * what was said meanwhile before it takes the child to hang.
 */
const stepMs = 100;

/** The child's side: runs what it is told to, one claim after the other, until its parent ends. */
export const serveSuspects = (
  handlers: readonly Handler[],
  deps: Omit<ClaimDeps, "onHandler" | "transientMaxAgeMs">,
): void => {
  const byName = new Map(handlers.map((handler) => [handler.name, handler]));
  const tell = (message: Message) => void process.send?.(message);
  const serve = async (order: Order): Promise<void> => {
    const { transientMaxAgeMs } = order;
    const [claim, ...rest] = await readClaims(deps.sql, order.claims);
    const handler = claim && byName.get(claim.handler);
    const onHandler = (kind: "started" | "returned") => tell({ kind });
    const claimDeps = { ...deps, transientMaxAgeMs, onHandler };
    if (!handler) return tell({ kind: "ended", outcome: { kind: "gone" } });
    const outcome =
      order.claims.length === 1
        ? await runClaim(claim, handler, claimDeps)
        : await runTogether([claim, ...rest], handler, claimDeps);
    tell({ kind: "ended", outcome: outcome ?? { kind: "apart" } });
  };
  process.on("disconnect", () => process.exit(0));
  process.on("message", (order: Order) => {
    serve(order).catch((error: unknown) => {
      deps.log.error({ err: error }, "a suspect event could not be read or its outcome stored");
      process.exit(1);
    });
  });
  tell({ kind: "ready" });
};

/** Processes of its own that an event may end, and workers it may have ended beside others. */
const killedMax = 2;
const lostMax = 10;

/** Undefined when they have to run one by one. */
export const runSuspectsTogether = async (
  claims: Claims,
  handler: Handler,
  { isolation, transientMaxAgeMs, stopping }: ClaimDeps & Readonly<{ isolation: Isolation }>,
): Promise<Outcome | undefined> => {
  const how = { inFresh: false, transientMaxAgeMs, stopping };
  const end = await isolation.run(claims, handler, how);
  return end.kind === "handled" ? end : undefined;
};

/** Whether it may run beside other suspects: nothing else is known of it. */
export const isFirstSuspicion = ({ attempt, killed, lost }: ParkedRow): boolean =>
  attempt === 0 && killed === 0 && lost < lostMax;

/** Runs a claim of one suspect event, and stores what its process cannot store any more. */
export const runSuspect = async (
  { claim, row, handler }: Readonly<{ claim: Claim; row: ParkedRow; handler: Handler }>,
  { isolation, ...deps }: ClaimDeps & Readonly<{ isolation: Isolation }>,
): Promise<Outcome> => {
  const { log, random, transientMaxAgeMs, stopping } = deps;
  // Workers have ended beside it, which is not known to be its doing.
  if (row.lost >= lostMax) return giveUp({ claim, row, handler }, "unrun", deps);
  const how = { inFresh: row.killed > 0, transientMaxAgeMs, stopping };
  const end = await isolation.run([claim], handler, how);
  if (end.kind === "unrun" || end.kind === "apart") {
    const delayMs = backoffMs(row.runs + 1, handler.retry, random);
    const postponed = { row, delayMs, failure: unrun, end: "unrun" } as const;
    await store(deps, (tx) =>
      stopping.aborted ? split(tx, claim) : postpone(tx, claim, postponed),
    );
    return { kind: "failed", failure: unrun, isRun: false };
  }
  if (end.kind !== "killed") return end;
  log.error({ handler: handler.name, eventId: row.eventId }, "an event has ended its process");
  if (row.killed + 1 >= killedMax) return giveUp({ claim, row, handler }, "killed", deps);
  await store(deps, (tx) => countKill(tx, claim, { row, failure: killed }));
  return { kind: "failed", failure: killed, isRun: true };
};

const unrun = {
  kind: "transient",
  code: "PROCESS_MISSING",
  message: "No process to run it in",
} as const;
const killed = { kind: "retryable", code: "PROCESS_KILLED", message: "Its process ended" } as const;

const giveUp = (
  giving: Readonly<{ claim: Claim; row: ParkedRow; handler: Handler }>,
  end: RunEnd,
  deps: ClaimDeps,
): Promise<Outcome> => {
  const failure = {
    ...killed,
    kind: "fatal",
    message: "It ends the process that runs it",
  } as const;
  return bury(giving, { failure, error: undefined, end }, deps);
};
