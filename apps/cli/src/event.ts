/** `outrider event` and `events`: one event's whole life, and those that a key or a time has. */

import { fault, isFault } from "@outrider/event";
import { printable } from "@outrider/health";
import type { EventLife, EventList } from "@outrider/operations";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json } from "./operations.ts";
import { attentionCode, show } from "./show.ts";
import type { Showing } from "./show.ts";
import { ago, field, textTable } from "./text-table.ts";

export type EventOptions = Showing & Readonly<{ id: string; topic?: string; key?: string }>;

/**
 * What is no event's id may be its key: then the events of that key are listed. Exit code 3 when
 * something of it waits for somebody.
 */
export const eventShow = (
  context: Context,
  { id, topic, key, ...showing }: EventOptions,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const query = { ...(topic !== undefined && { topic }), ...(key !== undefined && { key }) };
    try {
      const life = await show(context, showing, {
        read: () => bodyOf(client.events[":id"].$get({ param: { id }, query })),
        describe: describeLife,
      });
      return life.letters.some((letter) => letter.state === "open") ? attentionCode : 0;
    } catch (error) {
      if (!isFault(error, "not_found") || key !== undefined) throw error;
      const asked = { key: id, ...(topic !== undefined && { topic }) };
      const found = await bodyOf(client.events.$get({ query: asked }));
      if (found.items.length === 0) {
        throw fault(
          "not_found",
          `${error.message}; nor is it the key of an event since ${found.since}`,
        );
      }
      const said = `no event has the id ${printable(id, 100)}; these have it as their key:\n\n`;
      const table = `${said}${describeEvents(found, Date.now())}`;
      context.report.say(showing.json ? JSON.stringify(found) : table);
      return codeOf(found);
    }
  });

const codeOf = ({ items }: Json<EventList>): number =>
  items.some((one) => one.state === "dead" || one.outcomes.some((of) => of.state === "dead"))
    ? attentionCode
    : 0;

export type EventsOptions = Showing &
  Readonly<{
    query: Readonly<{
      key?: string;
      correlationId?: string;
      type?: string;
      topic?: string;
      since?: string;
      until?: string;
    }>;
    limit: number;
  }>;

/** Exit code 3 when one of them was given up. */
export const eventsList = (
  context: Context,
  { query, limit, ...showing }: EventsOptions,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const asked = { ...query, limit: String(limit) };
    const found = await show(context, showing, {
      read: () => bodyOf(client.events.$get({ query: asked })),
      describe: (list) => describeEvents(list, Date.now()),
    });
    return codeOf(found);
  });

export const describeEvents = (list: Json<EventList>, nowMs: number): string => {
  const { items, since, isWhole, isKafkaAway } = list;
  const notes = [
    ...(isKafkaAway ? ["Kafka could not be asked: what it holds is not among them"] : []),
    ...(isWhole ? [] : ["there may be more: say --key, --topic, --since or --until, or --limit"]),
  ];
  const table = textTable(
    ["at", "ago", "event", "type", "version", "place", "key", "handlers"],
    items.map((one) => [
      one.at,
      ago(one.at, nowMs),
      one.id,
      printable(one.type ?? "-", 60),
      one.version ?? "-",
      one.partition === null ? one.state : `${one.topic}/${one.partition}@${one.offset}`,
      printable(one.key, 40),
      one.outcomes.map(({ handler, state }) => `${handler} ${state}`).join(", ") || "-",
    ]),
  );
  const head = items.length === 0 ? `no events since ${since}` : table;
  return [head, ...(notes.length === 0 ? [] : ["", ...notes])].join("\n");
};

/** Characters of a payload that a person is shown; `--json` has more. */
const payloadMax = 500;

export const describeLife = (life: Json<EventLife>): string => {
  const short = (one: string | null) => printable(one ?? "-", 100);
  const { type, version, source, topic, key, record, story } = life;
  const place = record ? `, partition ${record.partition}, offset ${record.offset}` : "";
  const payload = record ? [field("payload", printable(record.payload, payloadMax))] : [];
  const width = Math.max(0, ...story.map((one) => one.handler?.length ?? 0));
  return [
    field("event", life.id),
    field("type", `${short(type)}, version ${version ?? "-"}, from ${short(source)}`),
    field("topic", `${short(topic)}${place}`),
    field("key", printable(key ?? "-", 200)),
    ...payload,
    "",
    ...story.map(({ at, handler, text }) => {
      const time = (at ?? "").padEnd(24);
      return `${time}  ${(handler ?? "").padEnd(width)}  ${printable(text, 400)}`.trimEnd();
    }),
  ].join("\n");
};
