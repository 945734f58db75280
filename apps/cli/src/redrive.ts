/** `outrider redrive ...`: operations over many dead letters. */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { decodeRecord } from "@outrider/event";
import type { Catalogue } from "@outrider/event";
import { headersOf } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { cancelRedrive, createRedrive, driveRedrive, listRedrives } from "@outrider/redrive";
import { pauseRedrive, previewRedrive, readRedrive, resumeRedrive } from "@outrider/redrive";
import type { Decodes, LetterFilter, Preview, Redrive, RedriveSummary } from "@outrider/redrive";
import { withDatabase } from "./database.ts";
import { byOf } from "./dead.ts";
import type { Context } from "./main.ts";
import { topicModules } from "./project.ts";
import { attentionCode, lookMs, show } from "./show.ts";
import { duration, printable, textTable } from "./text-table.ts";

export const redrivePreview = (
  context: Context,
  { filter, json }: Readonly<{ filter: LetterFilter; json: boolean }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const preview = await previewRedrive(sql, filter, await loadDecodes(context.root));
    context.report.say(json ? JSON.stringify(preview) : describePreview(preview));
    return 0;
  });

/** By the schemas of the apps' catalogues; what no app declares cannot be said. */
const loadDecodes = async (root: string): Promise<Decodes> => {
  const catalogues: Catalogue[] = [];
  for (const path of topicModules) {
    const loaded = (await import(join(root, path))) as { catalogue: Catalogue };
    catalogues.push(loaded.catalogue);
  }
  return ({ headers, topic, partition, offset, key, payload, occurredAt }) => {
    const catalogue = catalogues.find((one) => one.topics.some(({ name }) => name === topic));
    try {
      const event = decodeRecord({
        ...{ topic, partition: partition ?? 0, offset: offset ?? 0, value: payload },
        ...{ key: Buffer.from(key), timestampMs: occurredAt.getTime() },
        headers: headersOf(headers),
      });
      catalogue?.definitionOf(event.type, event.version).parse(event.data);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
};

export const describePreview = (preview: Preview): string => {
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

export type StartOptions = Readonly<{
  filter: LetterFilter;
  reason: string;
  by?: string;
  rate: number;
  canary: number;
  failures: number;
  json: boolean;
}>;

export const redriveStart = (context: Context, options: StartOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { filter, reason, rate: ratePerS, canary, failures: failuresMax, json } = options;
    const chosen = { by: byOf(options), reason, ratePerS, canary, failuresMax };
    const id = await sql.begin((tx) => createRedrive(tx, filter, chosen));
    return drive(context, sql, { id, json });
  });

type Driving = Readonly<{ id: number; json: boolean; resume?: Readonly<{ by?: string }> }>;

export const redriveDrive = (context: Context, driving: Driving): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { id, resume } = driving;
    if (resume) await sql.begin((tx) => resumeRedrive(tx, id, { by: byOf(resume) }));
    return drive(context, sql, driving);
  });

/** When this process ends, the operation waits for another one to go on. */
const drive = async (context: Context, sql: Sql, { id, json }: Driving): Promise<number> => {
  const { report, signal } = context;
  if (!json) report.say(`redrive ${id}`);
  const step = json ? undefined : report.step(`redrive ${id}`);
  const over = new AbortController();
  const looking = (async () => {
    while (!over.signal.aborted) {
      await delay(lookMs, undefined, { signal: over.signal }).catch(() => {});
      await readRedrive(sql, id).then(
        (one) => step?.note(describeProgress(one)),
        () => {},
      );
    }
  })();
  try {
    const warn = (_: object, message?: string) => (json ? undefined : report.say(message ?? ""));
    await driveRedrive(sql, id, { log: { warn }, random: Math.random, signal });
  } finally {
    over.abort();
    await looking;
    step?.end();
  }
  const redrive = await readRedrive(sql, id);
  report.say(json ? JSON.stringify(redrive) : describeRedrive(redrive));
  if (redrive.state === "running") report.say(`go on with: outrider redrive drive ${id}`);
  return codeOf(redrive);
};

const codeOf = ({ state, failed }: Redrive): number =>
  state === "paused" || failed > 0 ? attentionCode : state === "running" ? 1 : 0;

const describeProgress = ({ total, waiting, handled, failed }: Redrive): string =>
  `${total - waiting} of ${total}, ${handled} handled, ${failed} given up again`;

export const describeRedrive = (redrive: Redrive): string => {
  const field = (name: string, value: string | number) => `${name.padEnd(10)} ${value}`;
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

const describeSelection = ({ total, filter }: RedriveSummary): string => {
  const parts = Object.entries(filter).map(([name, value]) =>
    Array.isArray(value) ? `${value.length} by id` : `${name} ${String(value)}`,
  );
  return `${total}, ${parts.length > 0 ? printable(parts.join(", "), 200) : "all"}`;
};

export const redriveList = (
  context: Context,
  { limit, json }: Readonly<{ limit: number; json: boolean }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const redrives = await listRedrives(sql, { limit });
    context.report.say(json ? JSON.stringify(redrives) : describeRedrives(redrives, new Date()));
    return 0;
  });

export const describeRedrives = (redrives: readonly RedriveSummary[], now: Date): string => {
  if (redrives.length === 0) return "no redrives";
  return textTable(
    ["redrive", "state", "letters", "begun", "by", "reason"],
    redrives.map((one) => [
      one.id,
      one.state,
      one.total,
      `${duration(now.getTime() - one.createdAt.getTime())} ago`,
      printable(one.by, 30),
      printable(one.reason, 60),
    ]),
  );
};

type ShowOptions = Readonly<{ id: number; json: boolean; watch: boolean }>;

export const redriveShow = (context: Context, { id, ...how }: ShowOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const redrive = await show(context, how, {
      read: () => readRedrive(sql, id),
      describe: describeRedrive,
      isOver: ({ state, pending }) => state !== "running" && pending === 0,
    });
    return codeOf(redrive);
  });

export const redriveChange = (
  context: Context,
  verb: "pause" | "cancel",
  { id, ...who }: Readonly<{ id: number; by?: string }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const change = verb === "pause" ? pauseRedrive : cancelRedrive;
    await sql.begin((tx) => change(tx, id, { by: byOf(who) }));
    context.report.say(`redrive ${id} is ${verb === "pause" ? "paused" : "cancelled"}`);
    return 0;
  });
