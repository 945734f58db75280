/** Dead letters as an operator finds and decides them. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import type { Handler } from "@outrider/inbox";
import { removeOldInbox } from "@outrider/inbox";
import { cleanLetters, cleanReplays, createReplay, discardLetter } from "@outrider/redrive";
import { exportLetters, groupLetters, listReplays } from "@outrider/redrive";
import { noteLetter, readLetter, redriveLetter, restoreLetter } from "@outrider/redrive";
import { searchLetters } from "@outrider/redrive";
import type { LetterFilter, LetterSummary } from "@outrider/redrive";
import { failureOf } from "../support/counted.ts";
import {
  countOf,
  emptied,
  feed,
  handlerOf,
  ofKey,
  recordsOf,
  resolved,
  sql,
  startRunning,
  states,
  topic,
  useParkingScene,
} from "../support/parking-scene.ts";
import { until } from "../support/until.ts";

useParkingScene();

const who = { by: "ann", reason: "a test" };
const page = { limit: 100 };

type World = { isBroken: boolean };

/** Events that are given up at once while the world is broken, with a message that says why. */
const failing = (world: World, onBury: "hold" | "skip" = "hold"): Handler =>
  handlerOf(({ data }) => world.isBroken && new Error(`no ${data.key} in row ${data.n}`), {
    onBury,
    retry: { attemptsMax: 1 },
  });

const bury = async (text: string, onBury: "hold" | "skip" = "hold") => {
  const world = { isBroken: true };
  const handler = failing(world, onBury);
  await resolved(feed(handler, recordsOf(text)));
  const letters = await searchLetters(sql, {}, page);
  return { world, handler, letters, newest: letters[0] as LetterSummary };
};

const keysOf = (letters: readonly LetterSummary[]): string =>
  letters.map((letter) => letter.key).join("");

describe("letters", () => {
  test("are found by everything that is known of them", async () => {
    const { newest } = await bury("a1 b1 c1");
    await sql`
      insert into outrider.dead_letters
        (origin, event_id, topic, key, headers, payload, code, message, fingerprint, occurred_at,
          buried_at)
      values ('relay', ${randomUUID()}, 'other', convert_to('d', 'UTF8'), '[]',
        convert_to('{"text":"a needle"}', 'UTF8'), 'TOO_LARGE', 'It is too large', 'relay x',
        now(), now() - interval '1 day')`;
    await sql.begin((tx) => discardLetter(tx, { id: newest.id, ...who }));
    const hour = new Date(Date.now() - 3_600_000);
    const found: readonly (readonly [LetterFilter, string])[] = [
      [{}, "dcba"],
      [{ state: "open" }, "dba"],
      [{ state: "discarded" }, "c"],
      [{ origin: "relay" }, "d"],
      [{ origin: "handler" }, "cba"],
      [{ handler: newest.handler ?? "" }, "cba"],
      [{ topic: "other" }, "d"],
      [{ topic, state: "open" }, "ba"],
      [{ code: "TOO_LARGE" }, "d"],
      [{ fingerprint: "relay x" }, "d"],
      [{ key: "b" }, "b"],
      [{ eventId: newest.eventId }, "c"],
      [{ since: hour }, "cba"],
      [{ until: hour }, "d"],
      [{ text: "needle" }, "d"],
      [{ text: "no b in" }, "b"],
      [{ text: '"key":"a"' }, "a"],
      [{ ids: [newest.id] }, "c"],
      [{ text: "nowhere" }, ""],
      [{ key: "b' or true --" }, ""],
    ];
    for (const [filter, keys] of found) {
      expect([filter, keysOf(await searchLetters(sql, filter, page))]).toEqual([filter, keys]);
    }
    const [first, ...rest] = await searchLetters(sql, {}, { limit: 2 });
    expect(keysOf([first as LetterSummary, ...rest])).toBe("dc");
    const before = rest.at(-1)?.id;
    expect(keysOf(await searchLetters(sql, {}, { limit: 2, before }))).toBe("ba");
  });

  test("are grouped by what they died of", async () => {
    const { newest } = await bury("a1 b1 a2 c1");
    await bury("d1");
    const groups = await groupLetters(sql, { state: "open" }, 10);
    expect(groups.map((group) => group.count)).toEqual([1, 1, 1, 1]);
    await sql`update outrider.dead_letters set fingerprint = 'same' where id <= ${newest.id}`;
    const [largest, other, ...more] = await groupLetters(sql, { state: "open" }, 10);
    expect([largest?.fingerprint, largest?.count, other?.count]).toEqual(["same", 3, 1]);
    expect([largest?.newest.id, more]).toEqual([newest.id, []]);
    expect(await groupLetters(sql, {}, 1)).toHaveLength(1);
  });

  test("are exported whole, the oldest first, however many and however large", async () => {
    const { newest } = await bury("a1 b1");
    await sql`
      insert into outrider.dead_letters
        (origin, event_id, topic, key, headers, payload, code, message, fingerprint, occurred_at)
      select 'relay', gen_random_uuid(), 'many', 'k', '[["a","b"]]',
        convert_to(repeat('p', case when n % 100 < 7 then 1000000 else 1 end), 'UTF8'), 'C', 'm',
        'f', now()
      from generate_series(1, 1200) n`;
    const ids: number[] = [];
    for await (const letter of exportLetters(sql, {})) {
      ids.push(letter.id);
      if (letter.id === newest.id) {
        expect(JSON.parse(Buffer.from(letter.payload).toString())).toMatchObject({ key: "b" });
        expect(letter.headers.map(([name]) => name)).toContain("ce_id");
      }
    }
    expect(ids).toHaveLength(1202);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  });
});

describe("the history of a letter", () => {
  test("has each burial, decision, note and edit, with the difference", async () => {
    const { world, handler, newest } = await bury("a1");
    const { id } = newest;
    startRunning(handler);
    await sql.begin((tx) =>
      noteLetter(tx, { id, by: "ben", reason: "it waits for the new price list" }),
    );
    await sql.begin((tx) => redriveLetter(tx, { id, ...who }));
    const isOpen = async () => (await readLetter(sql, id)).attempts === 2;
    await until(isOpen, { what: "the second burial" });
    world.isBroken = false;
    const edit = { eventId: randomUUID(), payload: Buffer.from('{"key":"a","n":1,"text":"new"}') };
    await sql.begin((tx) => redriveLetter(tx, { id, ...who, edit }));
    await emptied("parked_heads");
    const { history, state, replacedBy } = await readLetter(sql, id);
    expect([state, replacedBy]).toEqual(["redriven", edit.eventId]);
    expect(history.map(({ action, by, message }) => [action, by, message])).toEqual([
      ["buried", null, "Error: no a in row 1"],
      ["noted", "ben", "it waits for the new price list"],
      ["redriven", "ann", "a test"],
      ["buried", null, "Error: no a in row 1"],
      ["redriven", "ann", "a test"],
    ]);
    const last = history.at(-1);
    expect(last?.replacedBy).toBe(edit.eventId);
    expect(last?.diff).toContain('\n-  "n": 1\n+  "n": 1,\n+  "text": "new"\n');
    expect(await ofKey("a")).toEqual([1]);
  });
});

describe("a discarded letter", () => {
  test("that is restored holds nothing, and runs late when it is redriven", async () => {
    const { world, handler, newest } = await bury("a1 a2");
    world.isBroken = false;
    startRunning(handler);
    await sql.begin((tx) => discardLetter(tx, { id: newest.id, ...who }));
    await emptied("parked_heads");
    await sql.begin((tx) => restoreLetter(tx, { id: newest.id, ...who }));
    expect(await readLetter(sql, newest.id)).toMatchObject({
      ...{ state: "open", skipped: true, closedBy: null, reason: null, waiting: 0 },
    });
    const [next] = recordsOf("a3");
    await resolved(feed(handler, [{ ...(next as KafkaRecord), offset: 7 }]));
    expect(await ofKey("a")).toEqual([2, 3]);
    await sql.begin((tx) => redriveLetter(tx, { id: newest.id, ...who }));
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[2, 3, 1], { handled: 3 }]);
  });

  test("alone can be restored", async () => {
    const { newest } = await bury("a1");
    const open = sql.begin((tx) => restoreLetter(tx, { id: newest.id, ...who }));
    expect(await failureOf(open)).toMatchObject({
      ...{ code: "conflict", message: `Dead letter ${newest.id} is open` },
    });
    const none = sql.begin((tx) => noteLetter(tx, { id: 999_999, ...who }));
    expect(isFault(await failureOf(none), "not_found")).toBe(true);
  });
});

test("what killed its process has all its tries again when it is redriven", async () => {
  const { newest } = await bury("a1 a2");
  await sql`update outrider.parked set killed = 2, lost = 3`;
  await sql.begin((tx) => redriveLetter(tx, { id: newest.id, ...who }));
  const [row] = await sql`
    select killed, lost, attempt from outrider.parked where event_id = ${newest.eventId}`;
  expect({ ...row }).toEqual({ killed: 0, lost: 0, attempt: 0 });
});

test("a letter that held its key without an order is redriven at once", async () => {
  const world = { isBroken: true };
  const handler = handlerOf(({ data }) => world.isBroken && new Error(`no ${data.key}`), {
    ...{ ordering: "none", onBury: "hold" },
    retry: { attemptsMax: 1 },
  });
  await resolved(feed(handler, recordsOf("a1 a2")));
  const [newest] = await searchLetters(sql, {}, page);
  world.isBroken = false;
  startRunning(handler);
  await sql.begin((tx) => redriveLetter(tx, { id: newest?.id ?? 0, ...who }));
  await until(async () => (await ofKey("a")).length === 1, { what: "the event" });
});

describe("cleaning", () => {
  test("removes what the inbox knows of a replay that was over long ago", async () => {
    const wish = { handler: "test.handler", group: "test", topic, again: true };
    const ranges = [{ partition: 0, begin: 0, until: 3 }];
    const ids = [
      await sql.begin((tx) => createReplay(tx, wish, { ...who, ranges })),
      await sql.begin((tx) => createReplay(tx, wish, { ...who, ranges })),
    ];
    await sql`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
      select name, gen_random_uuid(), 'handled', ${topic}, 0, 0
      from unnest(${[...ids.map((id) => `test.handler#${id}`), "test.handler"]}::text[]) as name`;
    await sql`
      update outrider.replays set state = 'done', changed_at = now() - interval '40 days'
      where id = ${ids[0] ?? 0}`;
    let removed = 0;
    for (let some = 1; some > 0; removed += some) {
      some = await cleanReplays(sql, { keepMs: 30 * dayMs });
    }
    expect(removed).toBe(2);
    const left = await sql`select handler from outrider.inbox order by 1`;
    expect(left.map((row) => row.handler)).toEqual(["test.handler", `test.handler#${ids[1]}`]);
    expect((await listReplays(sql, { limit: 10 })).map((one) => one.id)).toEqual(ids.slice(1));
    await sql`truncate outrider.replays, outrider.replay_ranges`;
  });

  const age = (days: number) => sql`
    update outrider.dead_letters
    set closed_at = closed_at - ${days} * interval '1 day',
      buried_at = buried_at - ${days} * interval '1 day'`;
  const dayMs = 86_400_000;

  test("removes letters closed long ago, with their history; open ones never", async () => {
    const { letters } = await bury("a1 b1 c1");
    await sql.begin((tx) => discardLetter(tx, { id: letters[0]?.id ?? 0, ...who }));
    await age(40);
    await sql.begin((tx) => discardLetter(tx, { id: letters[1]?.id ?? 0, ...who }));
    expect(await cleanLetters(sql, { keepMs: 30 * dayMs })).toBe(1);
    expect(await cleanLetters(sql, { keepMs: 30 * dayMs })).toBe(0);
    expect(keysOf(await searchLetters(sql, {}, page))).toBe("ba");
    const rows = await sql`select distinct letter::float8 as id from outrider.dead_letter_history`;
    const left = letters.slice(1).map((letter) => letter.id);
    expect(rows.map((row) => row.id).toSorted()).toEqual(left.toSorted());
  });

  test("leaves the inbox row of a letter that is there, and removes it behind", async () => {
    const { handler, letters } = await bury("a1 b1");
    const [closed] = letters;
    await sql.begin((tx) => discardLetter(tx, { id: closed?.id ?? 0, ...who }));
    await sql`update outrider.inbox set recorded_at = recorded_at - interval '60 days'`;
    await sql`
      insert into outrider.watermarks ("group", topic, partition, next_offset)
      values ('test', ${topic}, 0, 100)`;
    const removal = { handlers: [{ name: handler.name, group: "test" }], keepMs: 14 * dayMs };
    expect(await removeOldInbox(sql, removal)).toBe(0);
    await age(40);
    await cleanLetters(sql, { keepMs: 30 * dayMs });
    expect(await removeOldInbox(sql, removal)).toBe(1);
    expect([await states(), await countOf("dead_letters")]).toEqual([{ dead: 1 }, 1]);
    await sql`truncate outrider.watermarks`;
  });
});
