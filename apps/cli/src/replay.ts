/** `outrider replay ...`: a handler reads a topic again. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { readOffsets } from "@outrider/broker";
import { fault } from "@outrider/event";
import { printable } from "@outrider/health";
import type { Sql } from "@outrider/postgres";
import { createReplay, planReplay, readReplay, resumeReplay } from "@outrider/redrive";
import type { Replay, ReplayPlan, ReplaySummary, ReplayWish } from "@outrider/redrive";
import { findNodeBinary } from "@outrider/stack";
import { databaseUrlOf, kafkaOf, runningIn, withDatabase } from "./database.ts";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { replayApps } from "./project.ts";
import { bodyOf, byOf, record, withOperations } from "./operations.ts";
import type { Json, Operations } from "./operations.ts";
import { attentionCode, lookMs, show } from "./show.ts";
import type { Showing } from "./show.ts";
import { ago, field, textTable } from "./text-table.ts";

export type WishOptions = Readonly<{
  handler: string;
  topic?: string;
  partition?: number;
  since?: Date;
  offset?: number;
  again?: boolean;
}>;

type Described = Readonly<{ name: string; group: string; topics: readonly string[] }>;

/** Throws `not_found`. */
const findHandler = async (root: string, name: string) => {
  const names: string[] = [];
  for (const { parts, entry } of replayApps) {
    const loaded = (await import(join(root, parts))) as { describeHandlers(): Described[] };
    for (const handler of loaded.describeHandlers()) {
      if (handler.name === name) return { ...handler, entry };
      names.push(handler.name);
    }
  }
  throw fault("not_found", `There is no handler ${name}, but ${names.join(", ")}`);
};

const plan = async (
  context: Context,
  sql: Sql,
  options: WishOptions,
): Promise<Readonly<{ wish: ReplayWish; planned: ReplayPlan }>> => {
  const { handler: name, partition, since, offset, again = false } = options;
  const { group, topics } = await findHandler(context.root, name);
  const topic = options.topic ?? topics[0];
  if (!topic || !topics.includes(topic) || (!options.topic && topics.length > 1)) {
    throw fault("invalid", `Say which topic of ${name}: ${topics.join(", ")}`);
  }
  if (offset !== undefined && partition === undefined) {
    throw fault("invalid", "An offset is one of a partition: say which, with --partition");
  }
  const offsets = await readOffsets(kafkaOf(context), topic, since);
  const offered = offsets
    .filter((one) => partition === undefined || one.partition === partition)
    .map((one) => ({ ...one, begin: offset ?? (since ? one.since : one.low) }));
  const wish = { handler: name, group, topic, again };
  return { wish, planned: await planReplay(sql, wish, offered) };
};

export const replayPreview = (
  context: Context,
  { json, ...options }: WishOptions & Readonly<{ json: boolean }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { wish, planned } = await plan(context, sql, options);
    const shown = { ...wish, ...planned };
    context.report.say(json ? JSON.stringify(shown) : describePlan(wish, planned));
    return 0;
  });

export const describePlan = (
  { handler, group, topic, again }: ReplayWish,
  { ranges, records, known, unread }: ReplayPlan,
): string => {
  const count = (number: number, what: string) => `${String(number).padStart(7)} ${what}`;
  return [
    `${handler} reads ${topic} again, up to what its group ${group} has read`,
    textTable(
      ["partition", "from", "up to"],
      ranges.map((one) => [one.partition, one.begin, one.until]),
    ),
    "",
    count(records, "records, of all types"),
    again
      ? "        every event of them is run again, under a name of its own"
      : count(known, "events have an outcome and are not run; --again runs them, too"),
    ...(!again && records > known
      ? ["        what is run comes after later events of its key that have been run before"]
      : []),
    ...(unread.length > 0
      ? [`        nothing of partitions ${unread.join(", ")}: not read yet`]
      : []),
  ].join("\n");
};

type StartOptions = WishOptions & Readonly<{ reason: string; by?: string; json: boolean }>;

export const replayStart = (context: Context, options: StartOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { wish, planned } = await plan(context, sql, options);
    const { reason, json } = options;
    const id = await sql.begin(async (tx) => {
      const made = { by: byOf(options), reason, ranges: planned.ranges };
      const replay = await createReplay(tx, wish, made);
      const details = { ...wish, reason };
      const target = `replays/${replay}`;
      await record(tx, { by: options.by, action: "createReplay", target, details });
      return replay;
    });
    return follow(context, sql, { id, json, isResumed: false });
  });

export const replayResume = (
  context: Context,
  { id, json }: Readonly<{ id: number; json: boolean }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    await sql.begin(async (tx) => {
      await resumeReplay(tx, id);
      await record(tx, { action: "resumeReplay", target: `replays/${id}`, details: {} });
    });
    return follow(context, sql, { id, json, isResumed: true });
  });

/** Runs it in a process of the app's, and shows how far it is. */
const follow = async (
  context: Context,
  sql: Sql,
  { id, json, isResumed }: Readonly<{ id: number; json: boolean; isResumed: boolean }>,
): Promise<number> => {
  const { report, root, host, signal } = context;
  const { handler } = await readReplay(sql, id);
  const { entry } = await findHandler(root, handler);
  const receipts = runningIn(context)?.apps.outside?.url;
  const child = spawn(
    findNodeBinary(host).path,
    [join(root, entry), JSON.stringify({ id, isResumed })],
    {
      cwd: root,
      env: {
        ...(receipts && { RECEIPTS_URL: receipts, OUTBOUND_ALLOWED_ORIGINS: receipts }),
        ...host.env,
        DATABASE_URL: databaseUrlOf(context),
        KAFKA_BOOTSTRAP_SERVERS: kafkaOf(context).bootstrapServers,
      },
      // Its log lines are for people who look for a cause.
      // The channel tells it when this process is gone.
      stdio: ["ignore", json ? "ignore" : "inherit", "inherit", "ipc"],
    },
  );
  const ended = once(child, "exit");
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  const step = json ? undefined : report.step(`replay ${id}`);
  const over = new AbortController();
  void ended.then(() => over.abort());
  while (!over.signal.aborted) {
    await delay(lookMs, undefined, { signal: over.signal }).catch(() => {});
    await readReplay(sql, id).then(
      (one) => step?.note(`${one.passed} of ${one.records}`),
      () => {},
    );
  }
  step?.end();
  const replay = await readReplay(sql, id);
  report.say(json ? JSON.stringify(replay) : describeReplay(replay));
  if (!json && replay.state === "running") report.say(`go on with: outrider replay resume ${id}`);
  const [code] = (await ended) as [number | null];
  return replay.dead > 0 ? attentionCode : (code ?? 1);
};

export const describeReplay = (replay: Omit<Json<Replay>, "createdAt" | "changedAt">): string => {
  return [
    field("replay", `${replay.id}, ${replay.state}`),
    field("handler", replay.handler),
    field("as", replay.ranAs),
    field("topic", replay.topic),
    field("reason", `${printable(replay.reason, 200)}, ${printable(replay.by, 60)}`),
    field("records", `${replay.passed} of ${replay.records} have been passed`),
    field("parked", replay.parked),
    field("dead", replay.dead),
  ].join("\n");
};

export const replayShow = (
  context: Context,
  { id, ...showing }: Showing & Readonly<{ id: number }>,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const replay = await show(context, showing, {
      read: () => bodyOf(client.replays[":id"].$get({ param: { id: String(id) } })),
      describe: describeReplay,
      isOver: ({ state }) => state !== "running",
    });
    return replay.dead > 0 ? attentionCode : 0;
  });

export const replayList = (context: Context, listing: Listing): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.replays.$get({ query: page }),
    describe: describeReplays,
  });

export const describeReplays = (replays: readonly Json<ReplaySummary>[], nowMs: number): string => {
  if (replays.length === 0) return "no replays";
  return textTable(
    ["replay", "state", "handler", "topic", "begun", "by", "reason"],
    replays.map((one) => [
      one.id,
      one.state,
      one.ranAs,
      one.topic,
      ago(one.createdAt, nowMs),
      printable(one.by, 30),
      printable(one.reason, 60),
    ]),
  );
};

export const replayCancel = (
  context: Context,
  { id, ...who }: Readonly<{ id: number; by?: string }>,
): Promise<number> => {
  const act = async ({ client }: Operations): Promise<number> => {
    await bodyOf(client.replays[":id"].cancel.$post({ param: { id: String(id) } }));
    context.report.say(`replay ${id} is cancelled`);
    return 0;
  };
  return withOperations(context, act, who);
};
