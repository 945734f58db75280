/** `outrider parked ...`: keys with an event that failed, and what an operator does about them. */

import { fault } from "@outrider/event";
import { duration, printable } from "@outrider/health";
import type { ParkedKey } from "@outrider/operations";
import { followBulk } from "./bulk.ts";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json, Operations, Who } from "./operations.ts";
import { ago, field, textTable } from "./text-table.ts";

export type ParkedQuery = Readonly<{
  handler?: string;
  topic?: string;
  key?: string;
  code?: string;
  state?: "running" | "due" | "waiting" | "held";
}>;

export const parkedList = (
  context: Context,
  { query, ...listing }: Listing & Readonly<{ query: ParkedQuery }>,
): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.parked.$get({ query: { ...query, ...page } }),
    describe: describeParked,
  });

export const describeParked = (keys: readonly Json<ParkedKey>[], nowMs: number): string => {
  if (keys.length === 0) return "no parked keys";
  return textTable(
    ["id", "handler", "state", "due", "events", "runs", "tries", "parked", "code", "topic", "key"],
    keys.map((one) => [
      one.id,
      one.handler,
      one.state,
      describeDue(one, nowMs),
      one.events,
      ...[one.first.runs, one.first.attempts],
      ago(one.parkedAt, nowMs),
      printable(one.first.code ?? "-", 30),
      printable(one.topic, 30),
      printable(one.key, 30),
    ]),
  );
};

const describeDue = ({ dueAt, state }: Json<ParkedKey>, nowMs: number): string => {
  if (dueAt === null || state === "running") return "-";
  const inMs = Date.parse(dueAt) - nowMs;
  return inMs > 0 ? `in ${duration(inMs)}` : "now";
};

/** Events of a queue that are shown. */
const queueShown = 20;

export const parkedShow = (
  context: Context,
  { id, json }: Readonly<{ id: number; json: boolean }>,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const param = { id: String(id) };
    const key = await bodyOf(client.parked[":id"].$get({ param }));
    const limit = String(queueShown);
    const queue = await bodyOf(client.parked[":id"].events.$get({ param, query: { limit } }));
    const shown = { ...key, queue: queue.items };
    context.report.say(json ? JSON.stringify(shown) : describeKey(shown, Date.now()));
    return 0;
  });

type WholeKey = Json<ParkedKey> & Readonly<{ queue: readonly Json<ParkedKey["first"]>[] }>;

export const describeKey = (key: WholeKey, nowMs: number): string => {
  const { first, queue } = key;
  const message = printable(first.message ?? "", 300);
  const cause = first.code === null ? "-" : `${printable(first.code, 60)}: ${message}`;
  const more = key.events - queue.length;
  return [
    field("parked", `${key.id}, ${key.state}`),
    field("handler", key.handler),
    field("topic", printable(key.topic, 100)),
    field("key", printable(key.key, 200)),
    field("since", ago(key.parkedAt, nowMs)),
    field("due", describeDue(key, nowMs)),
    field("cause", cause),
    field("events", key.events),
    "",
    textTable(
      ["event", "place", "state", "runs", "tries", "lost", "killed", "code"],
      queue.map((one) => [
        one.eventId,
        `${one.partition}/${one.offset}`,
        one.state,
        ...[one.runs, one.attempts, one.lost, one.killed],
        printable(one.code ?? "-", 30),
      ]),
    ),
    ...(more > 0 ? [`and ${more} behind them`] : []),
  ].join("\n");
};

const verbs = {
  run: { action: "run-parked", done: "is due now" },
  postpone: { action: "postpone-parked", done: "is postponed" },
  bury: { action: "bury-parked", done: "has its first event given up: see outrider dead list" },
} as const;

export type ParkedVerb = keyof typeof verbs;

export type ParkedDecision = Who &
  Readonly<{
    ids: readonly number[];
    query: ParkedQuery;
    all: boolean;
    json: boolean;
    reason?: string;
    until?: string;
    behind?: "hold" | "skip";
  }>;

/** One key at once; several as an operation that is followed. */
export const parkedDecide = (
  context: Context,
  verb: ParkedVerb,
  decision: ParkedDecision,
): Promise<number> => {
  const { ids, query, all, json, reason, until, behind } = decision;
  const [id, ...more] = ids;
  const act = async (operations: Operations): Promise<number> => {
    if (id !== undefined && more.length === 0) {
      await decideOne(operations, { verb, id, decision });
      context.report.say(json ? JSON.stringify({ id }) : `parked key ${id} ${verbs[verb].done}`);
      return 0;
    }
    const filter = { ...query, ...(ids.length > 0 && { ids: [...ids] }) };
    const how = { ...(until !== undefined && { until }), ...(behind && { behind }) };
    if (reason === undefined) throw fault("invalid", "Say why, with --reason: they are several");
    const wish = { action: verbs[verb].action, filter, reason, ...how, ...(all && { all }) };
    const begun = await bodyOf(operations.client.parked.bulk.$post({ json: wish }));
    return followBulk(context, operations, { id: begun.id, json });
  };
  return withOperations(context, act, decision);
};

type One = Readonly<{ verb: ParkedVerb; id: number; decision: ParkedDecision }>;

const decideOne = async ({ client }: Operations, { verb, id, decision }: One): Promise<void> => {
  const { reason = "", until = "", behind } = decision;
  const why = decision.reason === undefined ? {} : { reason };
  const param = { id: String(id) };
  const key = client.parked[":id"];
  if (verb === "run") await bodyOf(key["run-now"].$post({ param }));
  if (verb === "postpone") await bodyOf(key.postpone.$post({ param, json: { until, ...why } }));
  if (verb === "bury") {
    const { eventId } = (await bodyOf(key.$get({ param }))).first;
    await bodyOf(key.bury.$post({ param, json: { reason, eventId, ...(behind && { behind }) } }));
  }
};
