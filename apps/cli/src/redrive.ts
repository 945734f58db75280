/** `outrider redrive ...`: operations over many dead letters. */

import { setTimeout as delay } from "node:timers/promises";
import { printable } from "@outrider/health";
import type { Preview, Redrive, RedriveSummary } from "@outrider/redrive";
import type { Selection } from "./arguments.ts";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json, Operations, OperationsClient, Who } from "./operations.ts";
import { attentionCode, lookMs, show } from "./show.ts";
import type { Showing } from "./show.ts";
import { ago, field, textTable } from "./text-table.ts";

/** Which letters an operation is about. */

export const redrivePreview = (
  context: Context,
  { query, ids, json }: Selection & Readonly<{ json: boolean }>,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const asked = { ...query, ...(ids && { ids: ids.join(",") }) };
    const preview = await bodyOf(client.redrives.preview.$get({ query: asked }));
    context.report.say(json ? JSON.stringify(preview) : describePreview(preview));
    return 0;
  });

export const describePreview = (preview: Json<Preview>): string => {
  const { letters, keys, groups, outOfOrder, handled, waiting, undecodable } = preview;
  if (letters === 0) return "no open dead letter matches";
  const count = (number: number, what: string) => `${String(number).padStart(7)} ${what}`;
  return [
    textTable(
      ["letters", "by", "topic", "code"],
      groups.map((one) => [one.letters, one.handler ?? "relay", one.topic, one.code]),
    ),
    "",
    count(letters, `letters of ${keys} keys`),
    count(waiting, "events wait behind them and go on with them"),
    count(
      outOfOrder.letters,
      `would come after later events of their key, ${outOfOrder.keys} keys`,
    ),
    count(handled, "have been handled meanwhile; nothing would happen"),
    count(undecodable.letters, "cannot be read and would fail again"),
    ...undecodable.examples.map(({ id, why }) => `        letter ${id}: ${printable(why, 200)}`),
  ].join("\n");
};

export type StartOptions = Selection &
  Readonly<{
    reason: string;
    by?: string;
    rate: number;
    canary: number;
    failures: number;
    json: boolean;
  }>;

export const redriveStart = (context: Context, options: StartOptions): Promise<number> => {
  const { query, ids, all, reason, rate, canary, failures, json } = options;
  const wish = {
    filter: { ...query, ...(ids && { ids }) },
    ...{ reason, ratePerS: rate, canary, failuresMax: failures },
    ...(all && { all }),
  };
  const begin = async (operations: Operations): Promise<number> => {
    const { id } = await bodyOf(operations.client.redrives.$post({ json: wish }));
    return drive(context, operations, { id, json });
  };
  return withOperations(context, begin, options);
};

type Driving = Readonly<{ id: number; json: boolean }>;

export const redriveDrive = (
  context: Context,
  driving: Driving & Who & Readonly<{ isResumed?: boolean }>,
): Promise<number> => {
  const act = async (operations: Operations): Promise<number> => {
    const param = { id: String(driving.id) };
    if (driving.isResumed) {
      await bodyOf(operations.client.redrives[":id"].resume.$post({ param }));
    }
    return drive(context, operations, driving);
  };
  return withOperations(context, act, driving);
};

const readRedrive = (client: OperationsClient, id: number) =>
  bodyOf(client.redrives[":id"].$get({ param: { id: String(id) } }));

/** When this process ends, the operation waits for another one to go on. */
const drive = async (
  context: Context,
  { client, drive: local }: Operations,
  { id, json }: Driving,
): Promise<number> => {
  const { report, signal } = context;
  if (!json) report.say(`redrive ${id}`);
  const step = json ? undefined : report.step(`redrive ${id}`);
  const over = new AbortController();
  const ending = AbortSignal.any([over.signal, signal]);
  const looking = (async () => {
    while (!ending.aborted) {
      await delay(lookMs, undefined, { signal: ending }).catch(() => {});
      const one = await readRedrive(client, id).catch(() => undefined);
      if (one) step?.note(describeProgress(one));
      if (one && one.state !== "running") return;
    }
  })();
  try {
    await local?.redrive(id);
    if (local) over.abort();
    await looking;
  } finally {
    over.abort();
    await looking;
    step?.end();
  }
  const redrive = await readRedrive(client, id);
  report.say(json ? JSON.stringify(redrive) : describeRedrive(redrive));
  if (redrive.state === "running" && local) {
    report.say(`go on with: outrider redrive drive ${id}`);
  }
  return codeOf(redrive);
};

const codeOf = ({ state, failed }: Json<Redrive>): number =>
  state === "paused" || failed > 0 ? attentionCode : state === "running" ? 1 : 0;

const describeProgress = ({ total, waiting, handled, failed }: Json<Redrive>): string =>
  `${total - waiting} of ${total}, ${handled} handled, ${failed} given up again`;

export const describeRedrive = (redrive: Json<Redrive>): string => {
  const why = redrive.message ? `: ${printable(redrive.message, 200)}` : "";
  const who = redrive.changedBy ? `, by ${printable(redrive.changedBy, 60)}` : "";
  return [
    field("redrive", `${redrive.id}, ${redrive.state}${who}${why}`),
    field("reason", `${printable(redrive.reason, 200)}, ${printable(redrive.by, 60)}`),
    field("letters", describeSelection(redrive)),
    field("waiting", redrive.waiting),
    field("refused", `${redrive.refused} that somebody else had decided about`),
    field("redriven", redrive.redriven),
    field("handled", redrive.handled),
    field("pending", redrive.pending),
    field("failed", `${redrive.failed} given up again`),
  ].join("\n");
};

const describeSelection = ({ total, filter }: Json<RedriveSummary>): string => {
  const parts = Object.entries(filter).map(([name, value]) =>
    Array.isArray(value) ? `${value.length} by id` : `${name} ${String(value)}`,
  );
  return `${total}, ${parts.length > 0 ? printable(parts.join(", "), 200) : "all"}`;
};

export const redriveList = (context: Context, listing: Listing): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.redrives.$get({ query: page }),
    describe: describeRedrives,
  });

export const describeRedrives = (
  redrives: readonly Json<RedriveSummary>[],
  nowMs: number,
): string => {
  if (redrives.length === 0) return "no redrives";
  return textTable(
    ["redrive", "state", "letters", "begun", "by", "reason"],
    redrives.map((one) => [
      one.id,
      one.state,
      one.total,
      ago(one.createdAt, nowMs),
      printable(one.by, 30),
      printable(one.reason, 60),
    ]),
  );
};

export const redriveShow = (
  context: Context,
  { id, ...showing }: Showing & Readonly<{ id: number }>,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const redrive = await show(context, showing, {
      read: () => readRedrive(client, id),
      describe: describeRedrive,
      isOver: ({ state, pending }) => state !== "running" && pending === 0,
    });
    return codeOf(redrive);
  });

export const redriveChange = (
  context: Context,
  verb: "pause" | "cancel",
  { id, ...who }: Readonly<{ id: number; by?: string }>,
): Promise<number> => {
  const act = async ({ client }: Operations): Promise<number> => {
    await bodyOf(client.redrives[":id"][verb].$post({ param: { id: String(id) } }));
    context.report.say(`redrive ${id} is ${verb === "pause" ? "paused" : "cancelled"}`);
    return 0;
  };
  return withOperations(context, act, who);
};
