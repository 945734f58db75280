/**
 * Holds a handler back while event after event of it fails: a dependency is away, or the handler is
 * broken. Its events wait meanwhile, instead of failing one by one; then one of them is tried. The
 * state is in Postgres, so that all workers of a handler act alike.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { Classified } from "./classify.ts";
import { repeat } from "./repeat.ts";

export type BreakerLimits = Readonly<{
  /** Failures in a row that open it, of so many keys at least. */
  failuresMax: number;
  keysMin: number;
  /** The same with successes in between: this share of so many runs. */
  shareMax: number;
  window: number;
  /** How long it is open the first time; twice as long each further time, up to the cap. */
  openMs: number;
  openCapMs: number;
  /** How long a try may take before another worker tries, too. */
  probeMs: number;
  /** How often the other workers' breakers are looked at. */
  breakerPollMs: number;
}>;

export const breakerDefaults: BreakerLimits = {
  ...{ failuresMax: 5, keysMin: 3, shareMax: 0.5, window: 20 },
  ...{ openMs: 1000, openCapMs: 30_000, probeMs: 30_000, breakerPollMs: 500 },
};

export type OpenBreaker = Readonly<{ handler: string; opened: number; code: string }>;

export type Breakers = Readonly<{
  isOpen(handler: string): boolean;
  open(): readonly OpenBreaker[];
  /** Waits until events may run: as many as there are, or one. Undefined when aborted. */
  admit(handler: string, signal: AbortSignal): Promise<"all" | "one" | undefined>;
  /** Of an open one: whether one event may be tried now. Whoever may has to try it, or yield. */
  tryProbe(handler: string): Promise<boolean>;
  /** Nothing was run after all. */
  yield(handler: string): Promise<void>;
  succeeded(handler: string): Promise<void>;
  /** `key` in any form in which keys are told apart. */
  failed(handler: string, key: string, failure: Classified): Promise<void>;
  stop(): Promise<void>;
}>;

type Known = OpenBreaker & Readonly<{ untilMs: number }>;
/** Undefined for a success. */
type Run = string | undefined;

export const createBreakers = (
  handlers: readonly string[],
  { sql, log }: Readonly<{ sql: Sql; log: Log }>,
  limits: BreakerLimits,
): Breakers => {
  let known = new Map<string, Known>();
  const runs = new Map<string, Run[]>();
  /** Until when, by handler: a try that nobody ends is over then, here as for all others. */
  const probing = new Map<string, number>();
  const stopping = new AbortController();

  /** While the database is away, what was known last holds. */
  const look = async (): Promise<void> => {
    const found = await readBreakers(sql, handlers).catch(() => known);
    tellChange(known, found, log);
    known = found;
  };
  const polling = repeat(limits.breakerPollMs, stopping.signal, look);

  const tryProbe = async (handler: string): Promise<boolean> => {
    const { untilMs = Infinity } = known.get(handler) ?? {};
    const nowMs = performance.now();
    if (nowMs < untilMs || nowMs < (probing.get(handler) ?? 0)) return false;
    probing.delete(handler);
    const taken = await takeProbe(sql, handler, limits.probeMs).catch(() => false);
    if (taken) probing.set(handler, nowMs + limits.probeMs);
    return taken;
  };

  /** A failure to write it down costs a later try. */
  const settle = async (handler: string, write: () => Promise<unknown>): Promise<void> => {
    probing.delete(handler);
    runs.delete(handler);
    await write().catch(() => {});
    await look();
  };

  const note = (handler: string, run: Run): readonly Run[] => {
    const last = [...(runs.get(handler) ?? []), run].slice(-limits.window);
    runs.set(handler, last);
    return last;
  };

  return {
    isOpen: (handler) => known.has(handler),
    open: () => [...known.values()],
    tryProbe,
    admit: async (handler, signal) => {
      while (!signal.aborted) {
        if (!known.has(handler)) return "all";
        if (await tryProbe(handler)) return "one";
        await delay(limits.breakerPollMs, undefined, { signal }).catch(() => {});
      }
      return undefined;
    },
    yield: async (handler) => {
      if (probing.has(handler)) await settle(handler, () => yieldProbe(sql, handler));
    },
    succeeded: async (handler) => {
      note(handler, undefined);
      if (probing.has(handler)) await settle(handler, () => close(sql, handler));
    },
    failed: async (handler, key, failure) => {
      if (probing.has(handler)) return settle(handler, () => reopen(sql, handler, limits));
      if (known.has(handler) || !isTooMuch(note(handler, key), limits)) return;
      await settle(handler, () => openNew(sql, { handler, failure }, limits));
    },
    stop: async () => {
      stopping.abort();
      await polling;
      await Promise.all(
        [...probing.keys()].map((handler) => yieldProbe(sql, handler).catch(() => {})),
      );
    },
  };
};

const tellChange = (
  before: ReadonlyMap<string, Known>,
  after: ReadonlyMap<string, Known>,
  log: Log,
): void => {
  for (const [handler, { code }] of after) {
    if (!before.has(handler)) log.warn({ handler, code }, "a handler is held back");
  }
  for (const handler of before.keys()) {
    if (!after.has(handler)) log.info({ handler }, "a handler is not held back any more");
  }
};

/** Many failures of few keys are those keys' own affair. */
export const isTooMuch = (
  runs: readonly Run[],
  { failuresMax, keysMin, shareMax, window }: BreakerLimits,
): boolean => {
  const row = runs.slice(runs.lastIndexOf(undefined) + 1);
  if (row.length >= failuresMax && new Set(row).size >= keysMin) return true;
  const failures = runs.filter((run) => run !== undefined);
  const isMost = runs.length >= window && failures.length >= shareMax * runs.length;
  return isMost && new Set(failures).size >= keysMin;
};

const readBreakers = async (sql: Sql, handlers: readonly string[]): Promise<Map<string, Known>> => {
  const rows = await sql<(OpenBreaker & { leftMs: number })[]>`
    select handler, opened, code,
      (extract(epoch from open_until - clock_timestamp()) * 1000)::float8 as "leftMs"
    from outrider.breakers where handler = any(${handlers}::text[])`;
  const nowMs = performance.now();
  return new Map(
    rows.map(({ leftMs, ...row }) => [row.handler, { ...row, untilMs: nowMs + leftMs }]),
  );
};

type Opening = Readonly<{ handler: string; failure: Classified }>;

const openNew = (sql: Sql, { handler, failure }: Opening, { openMs }: BreakerLimits) => sql`
  insert into outrider.breakers (handler, open_until, code, message)
  values (${handler}, clock_timestamp() + ${openMs} * interval '1 ms', ${failure.code},
    ${failure.message})
  on conflict do nothing`;

const reopen = (sql: Sql, handler: string, { openMs, openCapMs }: BreakerLimits) => sql`
  update outrider.breakers
  set opened = opened + 1, probe_until = null,
    open_until = clock_timestamp()
      + least(${openMs} * 2 ^ least(opened, 30), ${openCapMs}) * interval '1 ms'
  where handler = ${handler}`;

const close = (sql: Sql, handler: string) =>
  sql`delete from outrider.breakers where handler = ${handler}`;

const takeProbe = async (sql: Sql, handler: string, probeMs: number): Promise<boolean> => {
  const taken = await sql`
    update outrider.breakers set probe_until = clock_timestamp() + ${probeMs} * interval '1 ms'
    where handler = ${handler} and open_until <= clock_timestamp()
      and (probe_until is null or probe_until < clock_timestamp())`;
  return taken.count === 1;
};

const yieldProbe = (sql: Sql, handler: string) =>
  sql`update outrider.breakers set probe_until = null where handler = ${handler}`;
