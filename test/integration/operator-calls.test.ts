/** What callers of packages/redrive may rely on: the transaction, and pages. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { TransactionSql } from "@outrider/postgres";
import { cancelRedrive, cancelReplay, createRedrive, createReplay } from "@outrider/redrive";
import {
  discardLetter,
  listRedrives,
  listReplays,
  noteLetter,
  pauseRedrive,
} from "@outrider/redrive";
import { readLetter, readRedrive, redriveLetter, restoreLetter } from "@outrider/redrive";
import { resumeRedrive, resumeReplay, searchLetters } from "@outrider/redrive";
import { failureOf } from "../support/counted.ts";
import {
  boom,
  countOf,
  feed,
  handlerOf,
  recordsOf,
  resolved,
  sql,
  topic,
  useParkingScene,
} from "../support/parking-scene.ts";

useParkingScene();

const who = { by: "ann", reason: "a test" };
const wish = { handler: "test.handler", group: "test", topic, again: true };
const ranges = [{ partition: 0, begin: 0, until: 3 }];

/** Each letter holds its key, with one event behind it; the first one is discarded. */
const bury = async (): Promise<Readonly<{ open: number; discarded: number }>> => {
  const handler = handlerOf(({ data }) => data.n === 1 && boom, { retry: { attemptsMax: 1 } });
  await resolved(feed(handler, recordsOf("a1 a2 b1 b2")));
  const letters = await searchLetters(sql, {}, { limit: 2 });
  const [open = 0, discarded = 0] = letters.map((letter) => letter.id);
  await sql.begin((tx) => discardLetter(tx, { id: discarded, ...who }));
  return { open, discarded };
};

/** A redrive or a replay for the test to change. */
const begun = {
  redrive: () => sql.begin((tx) => createRedrive(tx, {}, who)),
  paused: async () => {
    const id = await begun.redrive();
    await sql.begin((tx) => pauseRedrive(tx, id, who));
    return id;
  },
  replay: () => sql.begin((tx) => createReplay(tx, wish, { ...who, ranges })),
  done: async () => {
    const id = await begun.replay();
    await sql`update outrider.replays set state = 'done' where id = ${id}`;
    return id;
  },
} as const;

type Letters = Awaited<ReturnType<typeof bury>>;
type Call = (letters: Letters) => Promise<(tx: TransactionSql) => Promise<unknown>>;

const onLetter =
  (act: typeof discardLetter, of: keyof Letters): Call =>
  async (letters) =>
  (tx) =>
    act(tx, { id: letters[of], ...who });
const edit = { eventId: randomUUID(), payload: Buffer.from('{"key":"b","n":9}') };

const calls: Readonly<Record<string, Call>> = {
  redriveLetter: onLetter(redriveLetter, "open"),
  "redriveLetter with an edit": onLetter((tx, one) => redriveLetter(tx, { ...one, edit }), "open"),
  discardLetter: onLetter(discardLetter, "open"),
  restoreLetter: onLetter(restoreLetter, "discarded"),
  noteLetter: onLetter(noteLetter, "discarded"),
  createRedrive: async () => (tx) => createRedrive(tx, {}, who),
  pauseRedrive: async () => {
    const id = await begun.redrive();
    return (tx) => pauseRedrive(tx, id, who);
  },
  resumeRedrive: async () => {
    const id = await begun.paused();
    return (tx) => resumeRedrive(tx, id, who);
  },
  cancelRedrive: async () => {
    const id = await begun.redrive();
    return (tx) => cancelRedrive(tx, id, who);
  },
  createReplay: async () => (tx) => createReplay(tx, wish, { ...who, ranges }),
  resumeReplay: async () => {
    const id = await begun.done();
    return (tx) => resumeReplay(tx, id);
  },
  cancelReplay: async () => {
    const id = await begun.replay();
    return (tx) => cancelReplay(tx, id);
  },
};

const tables = [
  ...["dead_letters", "dead_letter_history", "parked", "parked_heads", "inbox", "outbox"],
  ...["redrives", "redrive_items", "replays", "replay_ranges"],
] as const;

const everything = async (): Promise<string[]> => {
  const rows: string[] = [];
  for (const table of tables) {
    const found = await sql`
      select to_jsonb(one)::text as row from outrider.${sql(table)} one order by 1`;
    rows.push(...found.map((one) => `${table} ${one.row}`));
  }
  return rows;
};

describe("the caller's transaction", () => {
  for (const [name, prepare] of Object.entries(calls)) {
    test(`has all that ${name} does: nothing of it stays when it is rolled back`, async () => {
      const call = await prepare(await bury());
      const before = await everything();
      const rolledBack = sql.begin(async (tx) => {
        await call(tx);
        throw new Error("no audit");
      });
      expect(await failureOf(rolledBack)).toMatchObject({ message: "no audit" });
      expect(await everything()).toEqual(before);
      await sql.begin(call);
      expect(await everything()).not.toEqual(before);
    });
  }

  test("sees in it what it has decided", async () => {
    const { open } = await bury();
    const id = await sql.begin(async (tx) => {
      const made = await createRedrive(tx, {}, who);
      expect((await readRedrive(tx, made)).total).toBe(1);
      await discardLetter(tx, { id: open, ...who });
      expect((await readLetter(tx, open)).state).toBe("discarded");
      return made;
    });
    expect([await countOf("redrives"), (await readRedrive(sql, id)).total]).toEqual([1, 1]);
  });
});

describe("pages, the newest first", () => {
  const idsOf = (page: readonly Readonly<{ id: number }>[]) => page.map((one) => one.id);

  test("of redrives, of one state or of all", async () => {
    await bury();
    const [one, two, three, four] = [
      ...[await begun.paused(), await begun.redrive()],
      ...[await begun.paused(), await begun.redrive()],
    ] as [number, number, number, number];
    expect(idsOf(await listRedrives(sql, { limit: 2 }))).toEqual([four, three]);
    expect(idsOf(await listRedrives(sql, { limit: 2, before: three }))).toEqual([two, one]);
    expect(idsOf(await listRedrives(sql, { limit: 2, before: one }))).toEqual([]);
    expect(idsOf(await listRedrives(sql, { limit: 9, state: "paused" }))).toEqual([three, one]);
    const next = { limit: 1, before: three, state: "paused" } as const;
    expect(idsOf(await listRedrives(sql, next))).toEqual([one]);
  });

  test("of replays, of one state or of all", async () => {
    await sql`truncate outrider.replays, outrider.replay_ranges`;
    const [one, two, three, four] = [
      ...[await begun.done(), await begun.replay(), await begun.done(), await begun.replay()],
    ] as [number, number, number, number];
    expect(idsOf(await listReplays(sql, { limit: 2 }))).toEqual([four, three]);
    expect(idsOf(await listReplays(sql, { limit: 2, before: three }))).toEqual([two, one]);
    expect(idsOf(await listReplays(sql, { limit: 2, before: one }))).toEqual([]);
    expect(idsOf(await listReplays(sql, { limit: 9, state: "done" }))).toEqual([three, one]);
    const next = { limit: 1, before: three, state: "done" } as const;
    expect(idsOf(await listReplays(sql, next))).toEqual([one]);
    await sql`truncate outrider.replays, outrider.replay_ranges`;
  });
});
