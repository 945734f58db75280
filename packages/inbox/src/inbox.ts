/**
 * Runs handlers for the events of their topics: in order per key and once in effect. One consumer
 * group per group name; every process that runs the same handlers shares their partitions.
 */

import { fault, within } from "@outrider/event";
import type { Backoff } from "@outrider/event";
import { breakerDefaults, createBreakers } from "./breaker.ts";
import type { BreakerLimits, OpenBreaker } from "./breaker.ts";
import { startCleaning } from "./cleaning.ts";
import type { CleaningLimits } from "./cleaning.ts";
import { createCounts } from "./counts.ts";
import { startGroup } from "./group.ts";
import type { GroupDeps, GroupState } from "./group.ts";
import type { Handler } from "./handler.ts";
import { startRunner } from "./parking/runner.ts";
import type { RunnerDeps, RunnerLimits } from "./parking/runner.ts";
import { startTiming } from "./parking/timing.ts";
import type { TimingDeps } from "./parking/timing.ts";
import { startPresence } from "./presence.ts";
import type { PresenceLimits } from "./presence.ts";
import { createWork } from "./work.ts";
import type { WorkDeps } from "./work.ts";

export type InboxSettings = Readonly<{
  /** Group of handlers that name none: the app's. */
  group: string;
  /** Of the worker, for people: host and process. */
  name?: string;
  /** Most records of a partition that are admitted and unresolved. */
  admittedMax?: number;
  /** How often watermarks are written. */
  watermarkMs?: number;
  /** How long a reader may go without a look whether its log is still the one it has begun. */
  logLookMs?: number;
  /** How long a drain waits for handlers before it aborts them. */
  drainMs?: number;
  /** How long its stop may take in all, within the 10 s that a process has for its end. */
  stopMaxMs?: number;
  /** Readers that were not seen for so long are taken to have ended. */
  readerDeadMs?: number;
  /** Pauses while an outcome cannot be stored. */
  retry?: Backoff;
}> &
  Partial<RunnerLimits & BreakerLimits & CleaningLimits & PresenceLimits>;

/** How often parked keys are looked for, without timers and with them. */
const pollMs = { alone: 200, timed: 1000 } as const;

const defaults = {
  name: `worker ${process.pid}`,
  admittedMax: 1000,
  watermarkMs: 1000,
  logLookMs: 2000,
  drainMs: 4000,
  stopMaxMs: 6500,
  readerDeadMs: 5000,
  retry: { baseMs: 100, capMs: 10_000 },
  freshPollMs: 1000,
  parkedKeysMax: 8,
  claimMs: 5000,
  transientMaxAgeMs: 86_400_000,
  inboxKeepMs: 14 * 86_400_000,
  inboxCleanMs: 60_000,
  beatMs: 5000,
  ...breakerDefaults,
} as const;

export type InboxDeps = Omit<GroupDeps, "retry" | "work" | "breakers"> &
  Omit<WorkDeps, "group"> &
  Pick<RunnerDeps, "isolation"> &
  Partial<Pick<TimingDeps, "openTimers" | "onTimersFailed">>;

export type Inbox = Readonly<{
  state(): readonly GroupState[];
  /** Handlers that are held back. */
  openBreakers(): readonly OpenBreaker[];
  /** Throws what is wrong while retries may come late, since their timers cannot be set. */
  checkTimers(): Promise<void>;
  /** Finishes what is in flight, writes the watermarks, leaves the groups. */
  stop(): Promise<void>;
}>;

/** Throws RangeError when two handlers have one name. */
export const startInbox = (
  handlers: readonly Handler[],
  given: InboxDeps,
  settings: InboxSettings,
): Inbox => {
  const { group } = settings;
  const { openTimers } = given;
  const parkedPollMs = openTimers ? pollMs.timed : pollMs.alone;
  const limits = { ...defaults, parkedPollMs, ...settings };
  const names = new Set(handlers.map((handler) => handler.name));
  if (names.size < handlers.length) throw new RangeError("Two handlers have the same name");
  const { events, counts } = createCounts([...names], given);
  const deps = { ...given, ...events };
  const breakers = createBreakers([...names], deps, limits);
  // What is settled or parked comes later than this.
  const nudge = (): void => timing?.nudge();
  const runner = startRunner(handlers, { ...deps, group, breakers, onSettled: nudge }, limits);
  const timing =
    openTimers && startTiming(group, [...names], { ...deps, openTimers, onDue: runner.wake });
  const onParked = (handler: string, code: string): void => {
    deps.onParked?.(handler, code);
    nudge();
  };
  const work = createWork({ ...deps, group, onParked });
  const kept = handlers.map((one) => ({ name: one.name, group: one.group ?? group }));
  const cleaning = startCleaning(kept, deps, limits);
  const byGroup = Map.groupBy(handlers, (handler) => handler.group ?? group);
  const groups = [...byGroup].map(([name, members]) =>
    startGroup(
      { group: name, handlers: members, limits },
      { ...deps, work, breakers, retry: limits.retry },
    ),
  );
  const presence = startPresence({ name: limits.name, group, handlers, counts }, deps, limits);
  return {
    state: () => groups.map((one) => one.state()),
    openBreakers: breakers.open,
    checkTimers: async () => {
      if (!timing) throw fault("unavailable", "There is nothing that sets timers");
      await timing.check();
    },
    stop: async () => {
      const parts = [runner.stop(limits.drainMs), ...groups.map((one) => one.stop())];
      const all = Promise.all([...parts, timing?.stop(), cleaning.stop()]);
      const ended = await within(
        limits.stopMaxMs,
        all.then(() => Promise.all([breakers.stop(), presence.stop()])),
      );
      if (ended !== "late") return;
      // As when it is killed: its claims and readers run out, and others look with care.
      deps.log.warn({}, "not all could be given back in time; the database does not answer");
    },
  };
};
