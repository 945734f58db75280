/** Pages of lists: so many entries, and a cursor that goes on behind the last one. */

import { fault } from "@outrider/event";
import { about, nameOf } from "@outrider/http";
import * as v from "valibot";
import { form } from "./forms.ts";
import { exampleCursor, limitOf } from "./inputs.ts";

export type Page<T> = Readonly<{
  items: readonly T[];
  /** Null: there are no more. */
  next: string | null;
}>;

/** The form of a page. */
export const pageOf = <const S extends v.GenericSchema>(item: S) =>
  form(`${nameOf(item)}Page`, "Some of a list.", {
    items: about(v.array(item), "In the order of the list"),
    next: about(
      v.nullable(v.string()),
      "To be sent as `cursor` for what follows; null: there is no more",
      exampleCursor,
    ),
  });

/**
 * Of `limit + 1` entries that were asked for, the page; `positionOf` says where one stands in the
 * list's order.
 */
export const toPage = <T>(
  found: readonly T[],
  limit: number,
  positionOf: (item: T) => Position,
): Page<T> => {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items, next: last && found.length > limit ? encode(positionOf(last)) : null };
};

export type Position = readonly (string | number)[];

export const encode = (position: Position): string =>
  Buffer.from(JSON.stringify(position)).toString("base64url");

/** Throws `malformed` for what is no cursor of this kind of list. */
export const decode = <const S extends v.GenericSchema>(
  cursor: string | undefined,
  schema: S,
): v.InferOutput<S> | undefined => {
  if (cursor === undefined) return undefined;
  try {
    return v.parse(schema, JSON.parse(Buffer.from(cursor, "base64url").toString()));
  } catch {
    throw fault("malformed", "The cursor is none that this list has given");
  }
};

/** What may go wrong with a page. */
export const pageProblems = {
  400: "The cursor is none that this list has given",
  422: "A filter, or limit, is invalid",
};

type AskedPage = Readonly<{ limit?: string | undefined; cursor?: string | undefined }>;

type IdPage = Readonly<{ limit: number; last: number | undefined }>;

/** A page of a list that goes by ids, from one on that was the last of another page. */
export const idPage = <T extends Readonly<{ id: number }>>(
  asked: AskedPage,
  read: (page: IdPage) => Promise<readonly T[]>,
): Promise<Page<T>> =>
  stretchPage(asked, async (page) => ({ found: await read(page), rest: undefined }));

/** The same where a look may end early: behind the id `rest` nothing has been looked at. */
export const stretchPage = async <T extends Readonly<{ id: number }>>(
  { limit: asked, cursor }: AskedPage,
  read: (page: IdPage) => Promise<Readonly<{ found: readonly T[]; rest: number | undefined }>>,
): Promise<Page<T>> => {
  const limit = limitOf(asked);
  const { found, rest } = await read({ limit: limit + 1, last: idCursor(cursor) });
  const page = toPage(found, limit, (one) => [one.id]);
  if (page.next !== null || rest === undefined) return page;
  return { ...page, next: encode([rest]) };
};

const idCursor = (cursor: string | undefined): number | undefined =>
  decode(cursor, v.strictTuple([v.pipe(v.number(), v.safeInteger(), v.minValue(1))]))?.[0];
