/** Shows a list of the operations API: as much of it as is wanted, and how to see the rest. */

import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { OperationsClient } from "./operations.ts";
import { watch } from "./show.ts";
import type { Showing } from "./show.ts";

/** How a list is shown: so many of it, from the cursor on that the page before has given. */
export type Listing = Showing & Readonly<{ limit: number; cursor?: string | undefined }>;

type Listed<T> = Readonly<{ items: readonly T[]; next: string | null }>;
type PageQuery = { limit: string; cursor?: string };

export type List<T> = Readonly<{
  ask(client: OperationsClient, page: PageQuery): Parameters<typeof bodyOf<Listed<T>>>[0];
  describe(items: readonly T[], nowMs: number): string;
}>;

export const showList = <T>(
  context: Context,
  listing: Listing,
  { ask, describe }: List<T>,
): Promise<number> =>
  withOperations(context, ({ client }) =>
    watch(context, listing, {
      read: () => collect(listing, (page) => bodyOf(ask(client, page))),
      describe: (page) => withMore(describe(page.items, Date.now()), page),
    }),
  );

/** Most entries of one page that the API gives. */
const pageMax = 1000;

/** As many entries as are wanted, page by page. */
const collect = async <T>(
  { limit, cursor }: Pick<Listing, "limit" | "cursor">,
  read: (page: PageQuery) => Promise<Listed<T>>,
): Promise<Listed<T>> => {
  const items: T[] = [];
  let next = cursor ?? null;
  do {
    const size = String(Math.min(pageMax, limit - items.length));
    const page: Listed<T> = await read({ limit: size, ...(next !== null && { cursor: next }) });
    items.push(...page.items);
    next = page.next;
  } while (next !== null && items.length < limit);
  return { items, next };
};

/** A table, and how to see what comes behind it. */
const withMore = (table: string, { next }: Pick<Listed<unknown>, "next">): string =>
  next === null ? table : `${table}\n\nmore with --cursor ${next}`;
