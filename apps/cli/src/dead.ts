/** `outrider dead ...`: events that were given up, and what becomes of them. */

import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { fault } from "@outrider/event";
import {
  cleanLetters,
  cleanReplays,
  discardLetter,
  exportLetters,
  groupLetters,
} from "@outrider/redrive";
import { noteLetter, readLetter, redriveLetter, restoreLetter } from "@outrider/redrive";
import { searchLetters } from "@outrider/redrive";
import type { HistoryEntry, Letter, LetterFilter, LetterGroup } from "@outrider/redrive";
import type { LetterSummary, WholeLetter } from "@outrider/redrive";
import { withDatabase } from "./database.ts";
import type { Context } from "./main.ts";
import { duration, printable, textTable } from "./text-table.ts";

export type ListOptions = Readonly<{
  filter: LetterFilter;
  page: Readonly<{ limit: number; before: number | undefined }>;
  json: boolean;
}>;

export const deadList = (context: Context, { filter, page, json }: ListOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const letters = await searchLetters(sql, filter, page);
    if (json) context.report.say(JSON.stringify(letters));
    else context.report.say(describeLetters(letters, new Date()));
    return 0;
  });

export const describeLetters = (letters: readonly LetterSummary[], now: Date): string => {
  if (letters.length === 0) return "no dead letters";
  return textTable(
    ["letter", "state", "buried", "tries", "by", "code", "topic", "key", "type"],
    letters.map((one) => [
      one.id,
      one.skipped ? `${one.state}, skipped` : one.state,
      `${duration(now.getTime() - one.buriedAt.getTime())} ago`,
      one.attempts,
      one.handler ?? "relay",
      one.code,
      printable(one.topic, 30),
      printable(one.key, 30),
      printable(one.type ?? "-", 30),
    ]),
  );
};

export type GroupOptions = Readonly<{ filter: LetterFilter; limit: number; json: boolean }>;

export const deadGroups = (
  context: Context,
  { filter, limit, json }: GroupOptions,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const groups = await groupLetters(sql, filter, limit);
    if (json) context.report.say(JSON.stringify(groups));
    else context.report.say(describeGroups(groups, new Date()));
    return 0;
  });

export const describeGroups = (groups: readonly LetterGroup[], now: Date): string => {
  if (groups.length === 0) return "no dead letters";
  return textTable(
    ["letters", "newest", "buried", "by", "code", "group"],
    groups.map(({ count, fingerprint, newest }) => [
      count,
      newest.id,
      `${duration(now.getTime() - newest.buriedAt.getTime())} ago`,
      newest.handler ?? "relay",
      newest.code,
      // Whole, to be copied.
      printable(fingerprint, 1000),
    ]),
  );
};

export const deadShow = (
  context: Context,
  { id, json }: Readonly<{ id: number; json: boolean }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const letter = await readLetter(sql, id);
    context.report.say(json ? JSON.stringify(exported(letter)) : describeLetter(letter));
    return 0;
  });

const exported = ({ payload, ...letter }: Letter) => ({
  ...letter,
  payloadBase64: Buffer.from(payload).toString("base64"),
});

/** To be redirected into a file, or read line by line. */
export const deadExport = (context: Context, filter: LetterFilter): Promise<number> =>
  withDatabase(context, async (sql) => {
    for await (const letter of exportLetters(sql, filter)) {
      if (context.signal.aborted) return 1;
      context.report.say(JSON.stringify(exported(letter)));
    }
    return 0;
  });

/** Bytes of a payload that a person is shown; `--json` has all of them. */
const payloadMax = 2000;

export const describeLetter = (letter: WholeLetter): string => {
  const field = (name: string, value: string | number) => `${name.padEnd(10)} ${value}`;
  const closed = letter.closedAt
    ? [
        field("closed", `${letter.closedAt.toISOString()} by ${letter.closedBy}`),
        field("reason", printable(letter.reason ?? "", 200)),
        ...(letter.replacedBy ? [field("replaced", `by event ${letter.replacedBy}`)] : []),
      ]
    : [];
  return [
    field("letter", `${letter.id}, ${letter.state}${letter.skipped ? ", skipped" : ""}`),
    field("by", letter.handler ?? "relay"),
    field("cause", `${letter.code}: ${printable(letter.message, 300)}`),
    field("group", printable(letter.fingerprint, 1000)),
    field("tries", letter.attempts),
    field("buried", letter.buriedAt.toISOString()),
    ...closed,
    field("waiting", `${letter.waiting} events of its key`),
    field("event", letter.eventId),
    field("type", `${letter.type ?? "-"}, version ${letter.version ?? "-"}`),
    field("topic", letter.topic),
    ...(letter.partition === null
      ? []
      : [field("place", `partition ${letter.partition}, offset ${letter.offset}`)]),
    field("key", printable(letter.key, 200)),
    field("occurred", letter.occurredAt.toISOString()),
    "headers",
    ...letter.headers.map(([name, value]) => {
      const text = typeof value === "string" ? value : `base64:${value.base64}`;
      return `  ${printable(name, 60)}: ${printable(text, 200)}`;
    }),
    `payload    ${letter.payload.length} bytes`,
    `  ${printable(Buffer.from(letter.payload).toString("utf8"), payloadMax)}`,
    "history",
    ...letter.history.flatMap(describeEntry),
  ].join("\n");
};

const describeEntry = ({ at, action, by, message, redrive, diff }: HistoryEntry): string[] => {
  const who = by === null ? "" : ` by ${printable(by, 60)}`;
  const how = redrive === null ? "" : `, redrive ${redrive}`;
  return [
    `  ${at.toISOString()} ${action}${who}${how}: ${printable(message, 300)}`,
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

export const deadRelease = (context: Context, options: DecideOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { id, reason, payload } = options;
    const edit = payload && { eventId: Bun.randomUUIDv7(), payload: readPayload(payload) };
    const { handler } = await readLetter(sql, id);
    await sql.begin((tx) =>
      redriveLetter(tx, { id, reason, by: byOf(options), ...(edit && { edit }) }),
    );
    const again = handler === null ? "published again" : `run again by ${handler}`;
    const what = edit ? `event ${edit.eventId} takes its place` : `its event is ${again}`;
    context.report.say(`letter ${id} is redriven: ${what}, then what waits behind it`);
    return 0;
  });

const verbs = {
  discard: { act: discardLetter, done: "is discarded: what waits behind it goes on" },
  restore: { act: restoreLetter, done: "is open again; its key has gone on without it" },
  note: { act: noteLetter, done: "has a note more" },
} as const;

export const deadDecide = (
  context: Context,
  verb: keyof typeof verbs,
  options: DecideOptions,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { id, reason } = options;
    const { act, done } = verbs[verb];
    await sql.begin((tx) => act(tx, { id, reason, by: byOf(options) }));
    context.report.say(`letter ${id} ${done}`);
    return 0;
  });

export const deadClean = (context: Context, olderThanMs: number): Promise<number> =>
  withDatabase(context, async (sql) => {
    let removed = 0;
    for (let some = 1; some > 0 && !context.signal.aborted; removed += some) {
      some = await cleanLetters(sql, { keepMs: olderThanMs });
    }
    for (let some = 1; some > 0 && !context.signal.aborted;) {
      some = await cleanReplays(sql, { keepMs: olderThanMs });
    }
    context.report.say(`${removed} closed letters are removed`);
    return 0;
  });

export const byOf = ({ by }: Readonly<{ by?: string }>): string => by ?? userInfo().username;

const readPayload = (path: string): Uint8Array => {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw fault("invalid", `The payload cannot be read from ${path}`, { cause });
  }
};
