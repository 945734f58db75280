/** `outrider dead ...`: events that were given up, and what becomes of them. */

import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { fault } from "@outrider/event";
import { discardLetter, redriveLetter } from "@outrider/inbox";
import { discardDeadLetter, listDeadLetters, readDeadLetter } from "@outrider/outbox";
import { releaseDeadLetter } from "@outrider/outbox";
import type { Letter, LetterState, LetterSummary } from "@outrider/outbox";
import { withDatabase } from "./database.ts";
import type { Context } from "./main.ts";
import { duration, printable, textTable } from "./text-table.ts";

export type ListOptions = Readonly<{
  state: LetterState | "all";
  topic?: string;
  limit: number;
  before?: number;
  json: boolean;
}>;

export const deadList = (context: Context, options: ListOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { state, json, ...filter } = options;
    const letters = await listDeadLetters(sql, { ...filter, ...(state !== "all" && { state }) });
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

export const deadShow = (
  context: Context,
  { id, json }: Readonly<{ id: number; json: boolean }>,
): Promise<number> =>
  withDatabase(context, async (sql) => {
    const letter = await readDeadLetter(sql, id);
    const { payload, ...rest } = letter;
    const bytes = Buffer.from(payload).toString("base64");
    if (json) context.report.say(JSON.stringify({ ...rest, payloadBase64: bytes }));
    else context.report.say(describeLetter(letter));
    return 0;
  });

/** Bytes of a payload that a person is shown; `--json` has all of them. */
const payloadMax = 2000;

export const describeLetter = (letter: Letter): string => {
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
    field("tries", letter.attempts),
    field("buried", letter.buriedAt.toISOString()),
    ...closed,
    field("waiting", `${letter.waiting} events of its key`),
    field("event", letter.eventId),
    field("type", `${letter.type ?? "-"}, version ${letter.version ?? "-"}`),
    field("topic", letter.topic),
    field("key", printable(letter.key, 200)),
    field("occurred", letter.occurredAt.toISOString()),
    "headers",
    ...letter.headers.map(([name, value]) => {
      const text = typeof value === "string" ? value : `base64:${value.base64}`;
      return `  ${printable(name, 60)}: ${printable(text, 200)}`;
    }),
    `payload    ${letter.payload.length} bytes`,
    `  ${printable(Buffer.from(letter.payload).toString("utf8"), payloadMax)}`,
  ].join("\n");
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
    const { handler } = await readDeadLetter(sql, id);
    const release = handler === null ? releaseDeadLetter : redriveLetter;
    await release(sql, { id, reason, by: byOf(options), ...(edit && { edit }) });
    const again = handler === null ? "published again" : `run again by ${handler}`;
    const what = edit ? `event ${edit.eventId} takes its place` : `its event is ${again}`;
    context.report.say(`letter ${id} is redriven: ${what}, then what waits behind it`);
    return 0;
  });

export const deadDiscard = (context: Context, options: DecideOptions): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { id, reason } = options;
    const { handler } = await readDeadLetter(sql, id);
    const discard = handler === null ? discardDeadLetter : discardLetter;
    await discard(sql, { id, reason, by: byOf(options) });
    context.report.say(`letter ${id} is discarded: what waits behind it goes on`);
    return 0;
  });

const byOf = ({ by }: DecideOptions): string => by ?? userInfo().username;

const readPayload = (path: string): Uint8Array => {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw fault("invalid", `The payload cannot be read from ${path}`, { cause });
  }
};
