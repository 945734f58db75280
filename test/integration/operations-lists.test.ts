/** What lists leave out and where they go on. On real Postgres. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { fillOperations } from "../support/fill-operations.ts";
import { createOwnOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";

let api: OwnOperations;

const letters = 21_000;

beforeAll(async () => {
  api = await createOwnOperations();
  await fillOperations(api.sql, { parked: 60, letters, inbox: 10 });
}, 60_000);

afterAll(async () => {
  await api?.close();
});

type Page = Readonly<{ items: readonly { id: number; state: string }[]; next: string | null }>;

const read = (path: string, cursor?: string) =>
  api.read<Page>(cursor === undefined ? path : `${path}&cursor=${cursor}`);

/** All pages of it. */
const readAll = async (path: string): Promise<Page[]> => {
  const pages = [await read(path)];
  for (let next = pages[0]?.next; next; next = pages.at(-1)?.next) {
    pages.push(await read(path, next));
  }
  return pages;
};

describe("a search for a text", () => {
  test("ends after so many letters, empty, and goes on from there to the end", async () => {
    const path = "/v1/dead-letters?text=no%20order%207";
    // The newest 20,000 have a number above 1,000, and none of these begins so.
    await api.sql`update outrider.dead_letters set message = 'other' where id > 1000`;
    const pages = await readAll(`${path}&limit=1000`);
    expect(pages.map((page) => page.items.length)).toEqual([0, 111]);
    const ids = pages.flatMap((page) => page.items.map(({ id }) => id));
    expect(ids.every((id) => String(id).startsWith("7"))).toBe(true);
  });

  test("breaks a full page where it is full, whatever is left to look at", async () => {
    const first = await read("/v1/dead-letters?text=orderId&limit=10");
    expect(first.items.map(({ id }) => letters - id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const second = await read("/v1/dead-letters?text=orderId&limit=10", first.next ?? "");
    expect(second.items[0]?.id).toBe(letters - 10);
  });

  test("ends after so many bytes, which one letter may have alone", async () => {
    await api.sql`
      update outrider.dead_letters set payload = convert_to(repeat('large ', 3000000), 'UTF8')
      where id in (${letters}, ${letters - 1})`;
    const pages = await readAll("/v1/dead-letters?text=large&limit=1000");
    expect(pages.slice(0, 3).map((page) => page.items.length)).toEqual([1, 1, 0]);
    expect(pages.at(-1)?.next).toBeNull();
    await api.sql`
      update outrider.dead_letters set payload = '\\x' where id in (${letters}, ${letters - 1})`;
  });

  test("groups what it has looked through, and says when that is not all", async () => {
    type Groups = Readonly<{ items: readonly { count: number }[]; isWhole: boolean }>;
    const countOf = async (query: string) => {
      const { items, isWhole } = await api.read<Groups>(`/v1/dead-letters/groups?${query}`);
      return [items.reduce((sum, group) => sum + group.count, 0), isWhole];
    };
    expect(await countOf("limit=1000")).toEqual([letters, true]);
    expect(await countOf("limit=1000&text=r")).toEqual([20_000, false]);
    expect(await countOf("handler=shop.handler-7&text=r")).toEqual([letters / 20, true]);
  });
});

describe("parked keys", () => {
  test("are listed by the state that they show, each in one list", async () => {
    await api.sql`
      update outrider.parked_heads set claimed_until = now() + interval '1 hour'
      where id % 7 = 0`;
    await api.sql`
      update outrider.parked_heads set claimed_until = now() - interval '1 hour' where id % 7 = 1`;
    await api.sql`
      update outrider.parked_heads set due_at = now() - interval '1 s'
      where due_at <> 'infinity' and id % 3 = 0`;
    const all = (await read("/v1/parked?limit=1000")).items;
    const found: string[] = [];
    for (const state of ["running", "due", "waiting", "held"]) {
      const { items } = await read(`/v1/parked?limit=1000&state=${state}`);
      expect(items.map((item) => item.state)).toEqual(items.map(() => state));
      expect(items).not.toBeEmpty();
      found.push(...items.map(({ id }) => `${id} ${state}`));
    }
    expect(found.toSorted()).toEqual(all.map(({ id, state }) => `${id} ${state}`).toSorted());
  });

  test("are found by their key alone", async () => {
    const { items } = await read("/v1/parked?key=parked-17");
    expect(items).toMatchObject([{ id: 17, key: "parked-17" }]);
    expect((await read("/v1/parked?key=parked")).items).toBeEmpty();
  });
});
