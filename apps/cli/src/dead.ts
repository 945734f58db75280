/** `outrider dead ...`: events that were given up, and what becomes of them. */

import { readFileSync } from "node:fs";
import { fault } from "@outrider/event";
import { printable } from "@outrider/health";
import { cleanLetters, cleanReplays } from "@outrider/redrive";
import type { HistoryEntry, LetterGroup, LetterSummary, WholeLetter } from "@outrider/redrive";
import type { LetterQuery, Selection } from "./arguments.ts";
import { followBulk } from "./bulk.ts";
import { withDatabase } from "./database.ts";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { assertOk, bodyOf, record, withOperations } from "./operations.ts";
import type { Json, Operations, Who } from "./operations.ts";
import { ago, field, textTable } from "./text-table.ts";
import { watch } from "./show.ts";

export const deadList = (
  context: Context,
  { query, ...listing }: Listing & Readonly<{ query: LetterQuery }>,
): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client["dead-letters"].$get({ query: { ...query, ...page } }),
    describe: describeLetters,
  });

export const describeLetters = (letters: readonly Json<LetterSummary>[], nowMs: number): string => {
  if (letters.length === 0) return "no dead letters";
  return textTable(
    ["letter", "state", "buried", "tries", "by", "code", "topic", "key", "type"],
    letters.map((one) => [
      one.id,
      one.skipped ? `${one.state}, skipped` : one.state,
      ago(one.buriedAt, nowMs),
      one.attempts,
      one.handler ?? "relay",
      printable(one.code, 30),
      printable(one.topic, 30),
      printable(one.key, 30),
      printable(one.type ?? "-", 30),
    ]),
  );
};

export const deadGroups = (
  context: Context,
  { query, limit, ...showing }: Omit<Listing, "cursor"> & Readonly<{ query: LetterQuery }>,
): Promise<number> =>
  withOperations(context, ({ client }) =>
    watch(context, showing, {
      read: () => {
        const asked = { ...query, limit: String(limit) };
        return bodyOf(client["dead-letters"].groups.$get({ query: asked }));
      },
      describe: ({ items, isWhole }) => {
        const table = describeGroups(items, Date.now());
        const more = items.length < limit ? [] : ["there may be more: --limit"];
        const part = isWhole ? [] : ["only the newest letters were looked through"];
        return [table, ...[...more, ...part].map((line) => `\n${line}`)].join("\n");
      },
    }),
  );

export const describeGroups = (groups: readonly Json<LetterGroup>[], nowMs: number): string => {
  if (groups.length === 0) return "no dead letters";
  return textTable(
    ["letters", "newest", "buried", "by", "code", "group"],
    groups.map(({ count, fingerprint, newest }) => [
      count,
      newest.id,
      ago(newest.buriedAt, nowMs),
      newest.handler ?? "relay",
      printable(newest.code, 30),
      // Whole, to be copied.
      printable(fingerprint, 1000),
    ]),
  );
};

export const deadShow = (
  context: Context,
  { id, json }: Readonly<{ id: number; json: boolean }>,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const letter = await bodyOf(client["dead-letters"][":id"].$get({ param: { id: String(id) } }));
    context.report.say(json ? JSON.stringify(letter) : describeLetter(letter));
    return 0;
  });

/** To be redirected into a file, or read line by line. */
export const deadExport = (context: Context, query: LetterQuery): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const response = await client["dead-letters"].export.$get({ query });
    await assertOk(response);
    const { report, signal } = context;
    let rest = "";
    try {
      const texts = response.body?.pipeThrough(new TextDecoderStream(), { signal });
      for await (const some of texts ?? []) {
        const parts = `${rest}${some}`.split("\n");
        rest = parts.pop() ?? "";
        for (const line of parts) report.say(line);
      }
    } catch (cause) {
      throw fault("unavailable", "The export ended in the middle: there are more", { cause });
    }
    return 0;
  });

/** Bytes of a payload that a person is shown; `--json` has all of them. */
const payloadMax = 2000;

type ShownLetter = Json<Omit<WholeLetter, "payload">> & Readonly<{ payloadBase64: string }>;

export const describeLetter = (letter: ShownLetter): string => {
  const payload = Buffer.from(letter.payloadBase64, "base64");
  const closed = letter.closedAt
    ? [
        field("closed", `${letter.closedAt} by ${printable(letter.closedBy ?? "-", 60)}`),
        field("reason", printable(letter.reason ?? "", 200)),
        ...(letter.replacedBy ? [field("replaced", `by event ${letter.replacedBy}`)] : []),
      ]
    : [];
  return [
    field("letter", `${letter.id}, ${letter.state}${letter.skipped ? ", skipped" : ""}`),
    field("by", letter.handler ?? "relay"),
    field("cause", `${printable(letter.code, 60)}: ${printable(letter.message, 300)}`),
    field("group", printable(letter.fingerprint, 1000)),
    field("tries", letter.attempts),
    field("buried", letter.buriedAt),
    ...closed,
    field("waiting", `${letter.waiting} events of its key`),
    field("event", letter.eventId),
    field("type", `${printable(letter.type ?? "-", 100)}, version ${letter.version ?? "-"}`),
    field("topic", printable(letter.topic, 100)),
    ...(letter.partition === null
      ? []
      : [field("place", `partition ${letter.partition}, offset ${letter.offset}`)]),
    field("key", printable(letter.key, 200)),
    field("occurred", letter.occurredAt),
    "headers",
    ...letter.headers.map(([name, value]) => {
      const text = typeof value === "string" ? value : `base64:${value.base64}`;
      return `  ${printable(name, 60)}: ${printable(text, 200)}`;
    }),
    `payload    ${payload.length} bytes`,
    `  ${printable(payload.toString("utf8"), payloadMax)}`,
    "history",
    ...letter.history.flatMap(describeEntry),
  ].join("\n");
};

const describeEntry = ({
  at,
  action,
  by,
  message,
  redrive,
  diff,
}: Json<HistoryEntry>): string[] => {
  const who = by === null ? "" : ` by ${printable(by, 60)}`;
  const how = redrive === null ? "" : `, redrive ${redrive}`;
  return [
    `  ${at} ${action}${who}${how}: ${printable(message, 300)}`,
    ...(diff?.trimEnd().split("\n") ?? []).map((line) => `    ${printable(line, 200)}`),
  ];
};

export type DecideOptions = Readonly<{
  id: number;
  reason: string;
  by?: string;
  /** A file with the edited payload. */
  payload?: string;
}>;

export const deadRelease = (context: Context, options: DecideOptions): Promise<number> => {
  const { id, reason, payload } = options;
  const edit = payload === undefined ? {} : { payloadBase64: readPayload(payload) };
  const act = async ({ client }: Operations): Promise<number> => {
    const letter = client["dead-letters"][":id"];
    const param = { id: String(id) };
    const { handler } = await bodyOf(letter.$get({ param }));
    const { replacedBy } = await bodyOf(letter.redrive.$post({ param, json: { reason, ...edit } }));
    const again = handler === null ? "published again" : `run again by ${handler}`;
    const what =
      replacedBy === null ? `its event is ${again}` : `event ${replacedBy} takes its place`;
    context.report.say(`letter ${id} is redriven: ${what}, then what waits behind it`);
    return 0;
  };
  return withOperations(context, act, options);
};

const done = {
  discard: "is discarded: what waits behind it goes on",
  restore: "is open again; its key has gone on without it",
  note: "has a note more",
} as const;

export const deadDecide = (
  context: Context,
  verb: keyof typeof done,
  options: DecideOptions,
): Promise<number> => {
  const { id, reason } = options;
  const act = async ({ client }: Operations): Promise<number> => {
    const decide = client["dead-letters"][":id"][verb];
    await bodyOf(decide.$post({ param: { id: String(id) }, json: { reason } }));
    context.report.say(`letter ${id} ${done[verb]}`);
    return 0;
  };
  return withOperations(context, act, options);
};

export type DiscardOptions = Selection & Who & Readonly<{ reason: string; json: boolean }>;

/** One letter at once; several as an operation that is followed. */
export const deadDiscard = (context: Context, options: DiscardOptions): Promise<number> => {
  const { query, ids, all, reason, json, ...who } = options;
  const [id, ...more] = ids ?? [];
  if (id !== undefined && more.length === 0) {
    return deadDecide(context, "discard", { ...who, id, reason });
  }
  const filter = { ...query, ...(ids && { ids }) };
  const wish = { action: "discard-letters", filter, reason, ...(all && { all }) } as const;
  const act = async (operations: Operations): Promise<number> => {
    const begun = await bodyOf(operations.client["dead-letters"].bulk.$post({ json: wish }));
    return followBulk(context, operations, { id: begun.id, json });
  };
  return withOperations(context, act, options);
};

export const deadClean = (context: Context, olderThanMs: number): Promise<number> =>
  withDatabase(context, async (sql) => {
    let removed = 0;
    for (let some = 1; some > 0 && !context.signal.aborted; removed += some) {
      some = await cleanLetters(sql, { keepMs: olderThanMs });
    }
    for (let some = 1; some > 0 && !context.signal.aborted;) {
      some = await cleanReplays(sql, { keepMs: olderThanMs });
    }
    const deed = {
      action: "cleanLetters",
      target: "dead-letters",
      details: { olderThanMs, removed },
    };
    await sql.begin((tx) => record(tx, deed));
    context.report.say(`${removed} closed letters are removed`);
    return 0;
  });

const readPayload = (path: string): string => {
  try {
    return readFileSync(path).toString("base64");
  } catch (cause) {
    throw fault("invalid", `The payload cannot be read from ${path}`, { cause });
  }
};
