/** `outrider event ID`: the whole life of one event, as a story. */

import { printable } from "@outrider/health";
import type { EventLife } from "@outrider/operations";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json } from "./operations.ts";
import { attentionCode, show } from "./show.ts";
import type { Showing } from "./show.ts";
import { field } from "./text-table.ts";

export type EventOptions = Showing & Readonly<{ id: string; topic?: string; key?: string }>;

/** Exit code 3 when something of it waits for somebody. */
export const eventShow = (
  context: Context,
  { id, topic, key, ...showing }: EventOptions,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const query = { ...(topic !== undefined && { topic }), ...(key !== undefined && { key }) };
    const life = await show(context, showing, {
      read: () => bodyOf(client.events[":id"].$get({ param: { id }, query })),
      describe: describeLife,
    });
    return life.letters.some((letter) => letter.state === "open") ? attentionCode : 0;
  });

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
