/** `outrider handlers`, `workers` and `retry-queue`: who handles, how it goes, what is timed. */

import { printable } from "@outrider/health";
import type { Finding } from "@outrider/health";
import type { ComparedQueue, HandlerLag } from "@outrider/operations";
import type { InferResponseType } from "hono/client";
import { describeFindings } from "./findings.ts";
import type { Context } from "./main.ts";
import { assertOk, bodyOf, withOperations } from "./operations.ts";
import type { Json, OperationsClient, Who } from "./operations.ts";
import { attentionCode, show, watch } from "./show.ts";
import type { Showing } from "./show.ts";
import { ago, textTable, whenOf } from "./text-table.ts";

/** Exit code 3 when something of the handlers or their workers is not well. */
export const handlersList = (context: Context, showing: Showing): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const { findings } = await show(context, showing, {
      read: () => bodyOf(client.handlers.$get()),
      describe: describeHandlers,
    });
    return findings.length > 0 ? attentionCode : 0;
  });

type Listed = Readonly<{ items: readonly Json<HandlerLag>[]; findings: readonly Finding[] }>;

export const describeHandlers = ({ items: handlers, findings }: Listed): string => {
  if (handlers.length === 0) return "no handlers: no worker has named any yet";
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
    describeFindings(findings),
  ].join("\n");
};

/** What is said of a handler that nobody runs any more, is said no longer. */
export const handlerForget = (
  context: Context,
  { name, ...who }: Who & Readonly<{ name: string }>,
): Promise<number> =>
  withOperations(
    context,
    async ({ client }) => {
      await assertOk(await client.handlers[":name"].$delete({ param: { name } }));
      context.report.say(`${name} is forgotten; a worker that runs it names it again`);
      return 0;
    },
    who,
  );

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
