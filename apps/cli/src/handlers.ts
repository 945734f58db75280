/** `outrider handlers`, `workers` and `retry-queue`: who handles, how it goes, what is timed. */

import type { FaultCode } from "@outrider/event";
import type { ComparedQueue, HandlerLag } from "@outrider/operations";
import type { InferResponseType } from "hono/client";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json, OperationsClient } from "./operations.ts";
import { attentionCode, show, watch } from "./show.ts";
import type { Showing } from "./show.ts";
import { ago, printable, textTable, whenOf } from "./text-table.ts";

/** Exit code 3 when a handler cannot read or is held back, runs nowhere, or has open letters. */
export const handlersList = (context: Context, showing: Showing): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const { items } = await show(context, showing, {
      read: () => bodyOf(client.handlers.$get()),
      describe: ({ items: handlers }) => describeHandlers(handlers),
    });
    return items.some((one) => problemsOf(one).length > 0) ? attentionCode : 0;
  });

/** An event that has been run so often without an end gets nowhere: some minutes, by default. */
const runsMany = 10;

const problemsOf = (one: Json<HandlerLag>): string[] => {
  const { name, workers, group, breaker, openLetters, failing, halted, missingTopics } = one;
  const isRun = group === null || workers > 0;
  const held = breaker
    ? [`${printable(breaker.code, 60)}: ${printable(breaker.message, 100)}`]
    : [];
  return [
    ...(halted ? [sayHalted(name, halted)] : []),
    ...missingTopics.map((topic) => `${name} reads ${topic}, which Kafka does not have`),
    ...held.map((why) => `${name} is held back: ${why}`),
    ...(isRun ? [] : [`nobody runs ${name}`]),
    ...failing.flatMap((of) => sayFailing(name, of) ?? []),
    ...(openLetters > 0 ? [`${name} has given up ${openLetters} events`] : []),
  ];
};

const sayHalted = (
  name: string,
  { partitions, reason }: NonNullable<Json<HandlerLag>["halted"]>,
): string => {
  const next = "see outrider partition list --halted";
  return `${name} does not read ${partitions} partitions: ${printable(reason, 200)}; ${next}`;
};

const sayFailing = (
  name: string,
  { code, events, runsMax }: Json<HandlerLag>["failing"][number],
): string | undefined => {
  const which = `outrider parked list --handler ${name} --code ${printable(code, 60)}`;
  if (code === versionUnknown) {
    return `${name} does not know the version of ${events} events: deploy one that does; ${which}`;
  }
  if (runsMax < runsMany) return undefined;
  return `${name} gets nowhere with ${events} events, after up to ${runsMax} runs: ${which}`;
};

const versionUnknown = "version_unknown" satisfies FaultCode;

export const describeHandlers = (handlers: readonly Json<HandlerLag>[]): string => {
  if (handlers.length === 0) return "no handlers: no worker has named any yet";
  const problems = handlers.flatMap(problemsOf);
  return [
    textTable(
      [
        "handler",
        "group",
        "workers",
        "lag",
        "rate",
        "handled",
        "keys",
        "held",
        "events",
        "letters",
      ],
      handlers.map((one) => [
        one.name,
        one.group ?? "-",
        one.workers,
        one.lag === null ? "?" : String(one.lag),
        `${one.ratePerS}/s`,
        one.handled,
        one.parkedKeys,
        one.heldKeys,
        one.parkedEvents,
        one.openLetters,
      ]),
    ),
    "",
    ...(problems.length === 0 ? ["all is well"] : problems.map((one) => `! ${one}`)),
  ].join("\n");
};

export const workersList = (context: Context, showing: Showing): Promise<number> =>
  withOperations(context, ({ client }) =>
    watch(context, showing, {
      read: () => bodyOf(client.workers.$get()),
      describe: ({ items }) => describeWorkers(items, Date.now()),
    }),
  );

type Workers = InferResponseType<OperationsClient["workers"]["$get"]>["items"];

const describeWorkers = (workers: Workers, nowMs: number): string => {
  if (workers.length === 0) return "no workers";
  return textTable(
    ["worker", "state", "started", "handler", "handled", "failed", "rate"],
    workers.flatMap((one) =>
      one.handlers.map((handler) => [
        printable(one.name, 50),
        one.isAlive ? "alive" : "gone",
        ago(one.startedAt, nowMs),
        handler.name,
        ...[handler.handled, handler.failed],
        `${handler.ratePerS}/s`,
      ]),
    ),
  );
};

export type QueueOptions = Showing & Readonly<{ queue?: string; limit: number }>;

export const retryQueueShow = (
  context: Context,
  { queue, limit, ...showing }: QueueOptions,
): Promise<number> =>
  withOperations(context, ({ client }) =>
    watch(context, showing, {
      read: () => {
        const query = { limit: String(limit), ...(queue !== undefined && { queue }) };
        return bodyOf(client["retry-queue"].$get({ query }));
      },
      describe: ({ items }) =>
        items.map((one) => describeQueue(one, Date.now())).join("\n\n") || "no queues",
    }),
  );

export const describeQueue = (found: Json<ComparedQueue>, nowMs: number): string => {
  const { queue, counts, jobs, isWhole, missing } = found;
  const { waiting, delayed, active, failed } = counts;
  const jobsOf = `${delayed} delayed, ${waiting} waiting, ${active} active, ${failed} failed`;
  const head = `${queue}: ${jobsOf}`;
  const due = (at: string | null) => (at === null ? "-" : whenOf(at, nowMs));
  const rows = [
    ...jobs.map((job) => [
      job.state,
      due(job.dueAt),
      job.timer,
      due(job.parked?.dueAt ?? null),
      job.parked?.handler ?? "-",
      printable(job.parked?.key ?? "-", 30),
      job.disagreement ?? job.failedReason ?? "",
    ]),
    ...missing.map((key) => [
      ...["-", "-", String(key.id), due(key.dueAt), key.handler, printable(key.key, 30)],
      key.disagreement,
    ]),
  ];
  if (rows.length === 0) return head;
  const table = textTable(["job", "fires", "parked", "due", "handler", "key", "but"], rows);
  return [head, table, ...(isWhole ? [] : ["there are more jobs: --limit"])].join("\n");
};
