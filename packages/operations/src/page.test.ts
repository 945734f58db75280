import { expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { idPage } from "./page.ts";

const ids = [9, 7, 5, 3, 1];

/** As a list that goes by falling ids. */
const list = async ({ limit, last = 10 }: { limit: number; last: number | undefined }) =>
  ids
    .filter((id) => id < last)
    .slice(0, limit)
    .map((id) => ({ id }));

test("pages go on behind each other until there is no more", async () => {
  const found: number[] = [];
  let cursor: string | undefined;
  for (let pages = 1; ; pages += 1) {
    const page = await idPage({ limit: "2", cursor }, list);
    found.push(...page.items.map((one) => one.id));
    if (page.next === null) {
      expect(pages).toBe(3);
      break;
    }
    cursor = page.next;
  }
  expect(found).toEqual(ids);
});

test("a page that is just full has none behind it", async () => {
  expect((await idPage({ limit: "5" }, list)).next).toBeNull();
});

test("what is no cursor of this list is malformed", async () => {
  for (const cursor of ["x", "W10", "WzAsMV0", Buffer.from("[0]").toString("base64url")]) {
    const failure = await idPage({ cursor }, list).catch((error: unknown) => error);
    expect([cursor, isFault(failure, "malformed")]).toEqual([cursor, true]);
  }
});
