/** What has to hold of handlers and workers, as the database and Kafka tell it. */

import type { FaultCode } from "@outrider/event";
import type { HandlerStatus, WorkerStatus } from "@outrider/inbox";
import { judge } from "./finding.ts";
import type { Finding, Rule } from "./finding.ts";
import type { Thresholds } from "./thresholds.ts";
import { duration, many, printable } from "./words.ts";

/** Where a handler's group is furthest behind, counted in time. */
export type Behind = Readonly<{
  topic: string;
  partition: number;
  records: number;
  /** Since the first record that is not read was published. */
  ageMs: number;
  /** Since the group has got further there; null: it never has. */
  movedMs: number | null;
}>;

export type HandlerFacts = Pick<
  HandlerStatus,
  "name" | "group" | "workers" | "openLetters" | "parkedEvents" | "oldestParkedAgeMs"
> &
  Readonly<{
    breaker: Pick<NonNullable<HandlerStatus["breaker"]>, "code" | "message"> | null;
    failing: HandlerStatus["failing"];
    missingTopics: readonly string[];
    /** Null: it is not far behind, or nobody knows. */
    behind: Behind | null;
    limits: Thresholds;
  }>;

type HandlerRule = Rule<HandlerFacts>;

const versionUnknown = "version_unknown" satisfies FaultCode;

const isRun = ({ group, workers }: HandlerFacts): boolean => group === null || workers > 0;

/** A handler that nobody runs, or whose partition is halted, is told of as that. */
const isStalled = (facts: HandlerFacts): boolean => {
  const { behind, limits } = facts;
  if (!behind || !isRun(facts)) return false;
  const still = Math.min(behind.ageMs, behind.movedMs ?? Infinity);
  return still > limits.stallMaxMs;
};

const rules: readonly HandlerRule[] = [
  {
    ...{ entity: "topic", rule: "topic_missing" },
    find: ({ name, missingTopics }) =>
      missingTopics.map((topic) => {
        return { name: topic, reason: `${name} reads ${topic}, which Kafka does not have` };
      }),
    next: "see `outrider topics plan`",
  },
  {
    ...{ entity: "handler", rule: "breaker_open" },
    find: ({ name, breaker }) => {
      if (!breaker) return [];
      const why = `${printable(breaker.code, 60)}: ${printable(breaker.message, 100)}`;
      return [
        { name, reason: `${name} is held back, since one event after the other fails: ${why}` },
      ];
    },
    next: "mend what it calls; it tries by itself",
  },
  {
    ...{ entity: "handler", rule: "handler_not_run" },
    find: (facts) =>
      isRun(facts) ? [] : [{ name: facts.name, reason: `nobody runs ${facts.name}` }],
    next: (name) => `start a worker that has it, or \`outrider handlers forget ${name}\``,
  },
  {
    ...{ entity: "handler", rule: "version_unknown" },
    find: ({ name, failing }) =>
      failing
        .filter((one) => one.code === versionUnknown)
        .map(({ events }) => {
          return { name, reason: `${name} does not know the version of ${many(events, "event")}` };
        }),
    next: (name) => `deploy one that does; they wait: \`outrider parked list --handler ${name}\``,
  },
  {
    ...{ entity: "event", rule: "events_failing" },
    find: ({ name, failing, limits }) =>
      failing
        .filter((one) => one.code !== versionUnknown && one.runsMax >= limits.runsMax)
        .map(({ code, events, runsMax }) => {
          const what = `${many(events, "event")} that fail with ${printable(code, 60)}`;
          return { name, reason: `${name} gets nowhere with ${what}, after up to ${runsMax} runs` };
        }),
    next: (name) => `see \`outrider parked list --handler ${name}\``,
  },
  {
    ...{ entity: "event", rule: "handler_letters" },
    find: ({ name, openLetters }) =>
      openLetters > 0
        ? [{ name, reason: `${name} has given up ${many(openLetters, "event", 10_000)}` }]
        : [],
    next: (name) => `see \`outrider dead groups --handler ${name}\`, then redrive or discard them`,
  },
  {
    ...{ entity: "partition", rule: "partition_stalled" },
    find: (facts) => {
      const { name, behind } = facts;
      if (!behind || !isStalled(facts)) return [];
      const { topic, partition, records, ageMs, movedMs } = behind;
      const at = `${topic}/${partition}`;
      const waits = `${many(records, "record")} wait, for up to ${duration(ageMs)}`;
      const still =
        movedMs === null ? "has never begun" : `got no further for ${duration(movedMs)}`;
      return [{ name: at, reason: `the group of ${name} ${still} in ${at}: ${waits}` }];
    },
    next: "see /livez and /readyz?verbose of its workers, and whether a handler hangs",
  },
  {
    ...{ entity: "handler", rule: "handler_behind" },
    find: (facts) => {
      const { name, behind, limits } = facts;
      if (!behind || !isRun(facts) || isStalled(facts)) return [];
      if (behind.ageMs <= limits.lagAgeMaxMs) return [];
      return [{ name, reason: `${name} is ${duration(behind.ageMs)} behind` }];
    },
    next: "start more workers, or see what it waits for",
  },
  {
    ...{ entity: "event", rule: "parked_old" },
    find: ({ name, oldestParkedAgeMs, parkedEvents, limits }) => {
      if (oldestParkedAgeMs <= limits.parkedAgeMaxMs) return [];
      const waits = `${many(parkedEvents, "event")} of ${name} are parked`;
      return [{ name, reason: `${waits}, the first for ${duration(oldestParkedAgeMs)}` }];
    },
    next: (name) => `see \`outrider parked list --handler ${name}\``,
  },
];

export const judgeHandler = (facts: HandlerFacts): Finding[] => judge(rules, facts);

export type RunningFacts = Readonly<{
  workers: readonly Pick<WorkerStatus, "name" | "isAlive">[];
  /** What Kafka answered in place of the ends of topics. */
  failure?: string | undefined;
  /** What Redis answered in place of the timers of retries. */
  timersFailure?: string | undefined;
  limits: Thresholds;
}>;

const ofRunning: readonly Rule<RunningFacts>[] = [
  {
    ...{ entity: "broker", rule: "kafka_away" },
    find: ({ failure }) =>
      failure === undefined
        ? []
        : [{ name: "Kafka", reason: `nobody knows the lag: ${printable(failure, 200)}` }],
    next: "see whether the brokers answer",
  },
  {
    ...{ entity: "timer", rule: "redis_away" },
    find: ({ timersFailure }) =>
      timersFailure === undefined
        ? []
        : [{ name: "Redis", reason: `retries come late: ${printable(timersFailure, 200)}` }],
    next: "see /readyz?verbose of the workers, and whether Redis answers",
  },
  {
    ...{ entity: "worker", rule: "workers_gone" },
    find: ({ workers, limits }) => {
      const gone = workers.filter((one) => !one.isAlive);
      if (gone.length <= limits.goneMax) return [];
      const names = gone.slice(0, 5).map((one) => printable(one.name, 50));
      const reason = `${many(gone.length, "worker")} ended without a word within an hour`;
      return [{ name: names.join(", "), reason }];
    },
    next: "see the ends of their logs: `outrider workers` names them",
  },
];

export const judgeRunning = (facts: RunningFacts): Finding[] => judge(ofRunning, facts);
