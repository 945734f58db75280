/** `outrider dead`, `redrive` and `replay`; what is killed runs in a process of its own. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { applyTopics } from "@outrider/broker";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { createReplay } from "@outrider/redrive";
import type { LetterGroup, LetterSummary, Preview, Redrive } from "@outrider/redrive";
import { topics } from "../../apps/shop/src/topics.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testEnvironment, testKafka } from "../support/environment.ts";
import { runOutrider } from "../support/outrider.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "cli-redrive-test", poolMax: 2 });
});
afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});
afterEach(async () => {
  await sql`
    truncate outrider.inbox, outrider.parked, outrider.parked_heads, outrider.dead_letters,
      outrider.dead_letter_history, outrider.redrives, outrider.redrive_items, outrider.replays,
      outrider.replay_ranges`;
});

const start = (args: readonly string[]) =>
  spawn("bun", ["apps/cli/src/bootstrap.ts", ...args], {
    env: { ...testEnvironment(), DATABASE_URL: database.url },
    cwd: join(import.meta.dirname, "../.."),
    stdio: ["ignore", "pipe", "pipe"],
  });

const outrider = (...args: string[]) => runOutrider({ databaseUrl: database.url }, args);

/** As a handler leaves them that passes over what it gives up. */
const bury = (count: number) => sql`
  with letters as (
    insert into outrider.dead_letters
      (origin, handler, event_id, topic, key, partition, "offset", headers, payload, code, message,
        fingerprint, skipped, occurred_at)
    select 'handler', 'test.handler', gen_random_uuid(), 'counted', convert_to('key-' || n, 'UTF8'),
      0, n, '[["content-type", "application/json"]]', convert_to('{"n":1}', 'UTF8'), 'BROKEN',
      'no stock', 'test.handler | BROKEN', true, now()
    from generate_series(1, ${count}::int) n
    returning handler, event_id, topic, partition, "offset"
  )
  insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
  select handler, event_id, 'dead', topic, partition, "offset" from letters`;

const redriveOf = async (id: string): Promise<Redrive> =>
  JSON.parse((await outrider("redrive", "show", id, "--json")).stdout) as Redrive;

describe("outrider dead", () => {
  test("groups, exports, discards, restores, notes and cleans", async () => {
    await bury(3);
    const groups = await outrider("dead", "groups", "--json");
    const [group, ...more] = JSON.parse(groups.stdout).items as LetterGroup[];
    expect([group?.count, group?.fingerprint, more]).toEqual([3, "test.handler | BROKEN", []]);
    expect((await outrider("dead", "groups")).stdout).toMatch(
      /^ +3 +\d+ .*test\.handler \| BROKEN$/m,
    );
    const id = String(group?.newest.id);
    const reason = ["--reason", "not ours", "--by", "ann"];
    for (const verb of ["discard", "restore", "note", "discard"]) {
      const done = await outrider("dead", verb, id, ...reason);
      expect([verb, done.code, done.stderr]).toEqual([verb, 0, ""]);
    }
    const shown = (await outrider("dead", "show", id)).stdout;
    expect(shown).toMatch(/ noted by ann: not ours\n/);
    expect(shown).toMatch(/ restored by ann: not ours\n/);
    const lines = (await outrider("dead", "export", "--key", "key-1")).stdout.trimEnd().split("\n");
    const [letter] = lines.map((line) => JSON.parse(line) as { payloadBase64: string });
    expect(lines).toHaveLength(1);
    expect(atob(letter?.payloadBase64 ?? "")).toBe('{"n":1}');
    await sql`update outrider.dead_letters set closed_at = now() - interval '2 days'`;
    const cleaned = await outrider("dead", "clean", "--older-than", "1d");
    expect(cleaned.stdout).toBe("1 closed letters are removed\n");
    const audit = JSON.parse(
      (await outrider("audit", "--action", "cleanLetters", "--json")).stdout,
    );
    expect(audit.items).toMatchObject([{ target: "dead-letters", details: { removed: 1 } }]);
    const left = JSON.parse((await outrider("dead", "list", "--state", "all", "--json")).stdout);
    expect((left.items as LetterSummary[]).map((one) => one.key)).toEqual(["key-2", "key-1"]);
    const rest = await outrider("dead", "discard", "--code", "BROKEN", ...reason);
    expect([rest.code, rest.stdout]).toEqual([0, expect.stringMatching(/^done +2$/m)]);
  });

  test("refuses what makes no sense in one sentence", async () => {
    const refusals = [
      [["dead", "list", "--since", "yesterday"], /It is a time such as/],
      [["dead", "list", "--event", "1"], /It is a UUID/],
      [["dead", "clean", "--older-than", "1"], /It is a time such as 30s/],
      [["dead", "restore", "1"], /required option '--reason <text>'/],
      [["redrive", "start", "--reason", "x"], /needs\n {2}which letters: by id/],
      [["redrive", "start"], /needs\n {2}which letters: .*\n {2}--reason <text>/],
      [["redrive", "start", "--reason", "x", "--all"], /^No open dead letter matches\n$/],
      [["redrive", "start", "--all", "--reason", "x", "--rate", "0"], /It is a number from 0.001/],
      [["redrive", "show", "7"], /^There is no redrive 7\n$/],
    ] as const;
    for (const [args, message] of refusals) {
      const answer = await outrider(...args);
      expect([args.join(" "), answer.code]).toEqual([args.join(" "), 1]);
      expect(answer.stderr).toMatch(message);
    }
  });
});

describe("outrider replay", () => {
  const kafka = testKafka();
  const replay = (...args: string[]) =>
    runOutrider({ databaseUrl: database.url, kafka }, ["replay", ...args]);
  const summary = ["--handler", "shop.order-summary"];

  test("says what would be read, and refuses what cannot be", async () => {
    await applyTopics(kafka, { topics, profile: "dev" });
    const preview = JSON.parse((await replay("preview", ...summary, "--json")).stdout);
    expect(preview).toMatchObject({ group: "shop", topic: "order-events", records: 0 });
    expect(preview.unread).toHaveLength(12);
    const people = (await replay("preview", ...summary, "--again")).stdout;
    expect(people).toMatch(/^shop\.order-summary reads order-events again, up to what/);
    expect(people).toMatch(/nothing of partitions 0, 1, .*: not read yet/);
    const reason = ["--reason", "x"];
    const refusals = [
      [["preview", "--handler", "none"], /^There is no handler none, but shop\.order-summary, /],
      [
        ["preview", ...summary, "--topic", "x"],
        /^Say which topic of shop\.order-summary: order-ev/,
      ],
      [["preview", ...summary, "--offset", "7"], /^An offset is one of a partition/],
      [["start", ...summary, ...reason], /^There is nothing to read again\n$/],
      [["start", ...summary], /needs\n {2}--reason <text>, kept with the replay/],
      [["resume", "7"], /^There is no replay 7\n$/],
      [["show", "7"], /^There is no replay 7\n$/],
      [["cancel", "7"], /^There is no replay 7\n$/],
    ] as const;
    for (const [args, message] of refusals) {
      const answer = await replay(...args);
      expect([args.join(" "), answer.code]).toEqual([args.join(" "), 1]);
      expect(answer.stderr).toMatch(message);
    }
    expect((await replay("list")).stdout).toBe("no replays\n");
  });

  test("lists, shows and cancels what was begun", async () => {
    const wish = { handler: "shop.order-summary", group: "shop", topic: "order-events" };
    const ranges = [{ partition: 3, begin: 10, until: 30 }];
    const who = { by: "ann", reason: "a test" };
    const id = String(
      await sql.begin((tx) => createReplay(tx, { ...wish, again: true }, { ...who, ranges })),
    );
    const shown = await replay("show", id);
    expect(shown.stdout).toMatch(/^records +0 of 20 have been passed$/m);
    expect(shown.code).toBe(0);
    expect((await replay("list")).stdout).toMatch(/running +shop\.order-summary#\d+ +order-events/);
    expect((await replay("cancel", id)).stdout).toBe(`replay ${id} is cancelled\n`);
    expect((await replay("show", id, "--watch", "--json")).stdout.split("\n")).toHaveLength(2);
    const [listed] = JSON.parse((await replay("list", "--json")).stdout).items;
    expect(listed).toMatchObject({ id: Number(id), state: "cancelled", by: "ann" });
    expect((await replay("resume", id)).stderr).toBe(`Replay ${id} is cancelled\n`);
  });
});

describe("outrider redrive", () => {
  test("previews, starts, lists and shows", async () => {
    await bury(4);
    const preview = JSON.parse((await outrider("redrive", "preview", "--all", "--json")).stdout);
    expect(preview as Preview).toMatchObject({
      ...{ letters: 4, keys: 4, handled: 0 },
      outOfOrder: { letters: 4 },
      undecodable: { letters: 4 },
    });
    const people = (await outrider("redrive", "preview", "--code", "BROKEN")).stdout;
    expect(people).toMatch(/^ +4 would come after later events of their key, 4 keys$/m);
    expect(people).toMatch(/letter \d+: The record lacks ce_id/);
    const args = ["--code", "BROKEN", "--reason", "mended", "--by", "ann", "--canary", "0"];
    const started = await outrider("redrive", "start", ...args, "--json");
    expect([started.code, started.stderr]).toEqual([0, ""]);
    const redrive = JSON.parse(started.stdout) as Redrive;
    expect(redrive).toMatchObject({ state: "done", total: 4, redriven: 4, pending: 4, by: "ann" });
    const [listed] = JSON.parse((await outrider("redrive", "list", "--json")).stdout).items;
    expect(listed).toMatchObject({ id: redrive.id, filter: { code: "BROKEN" }, reason: "mended" });
    const shown = (await outrider("redrive", "show", String(redrive.id))).stdout;
    expect(shown).toMatch(/^letters +4, code BROKEN$/m);
  });

  test("needs a human when the first one is given up again", async () => {
    await bury(3);
    const running = outrider("redrive", "start", "--all", "--reason", "x");
    const isFirst = async () => (await sql`select from outrider.parked`).length === 1;
    await until(isFirst, { what: "the first letter" });
    // As its handler does it.
    await sql`update outrider.dead_letters set state = 'open' where state = 'redriven'`;
    await sql`delete from outrider.parked`;
    const { stdout, code } = await running;
    expect(code).toBe(3);
    expect(stdout).toMatch(/^redrive +\d+, paused: 1 of the first 1 were given up again$/m);
    const [, id = ""] = /^redrive (\d+)$/m.exec(stdout) ?? [];
    expect((await outrider("redrive", "cancel", id)).stdout).toBe(`redrive ${id} is cancelled\n`);
    const again = await outrider("redrive", "resume", id);
    expect([again.code, again.stderr]).toEqual([1, `Redrive ${id} is cancelled\n`]);
  });

  test("goes on where a killed process has left it, and stops when it is told to", async () => {
    await bury(16);
    const args = ["--all", "--reason", "x", "--canary", "0", "--rate", "4"];
    const child = start(["redrive", "start", ...args]);
    const ended = once(child, "exit");
    const redriven = async () =>
      (await sql`select from outrider.redrive_items where state = 'redriven'`).length;
    await until(async () => (await redriven()) >= 2, { what: "two letters" });
    child.kill("SIGKILL");
    await ended;
    const left = await redriven();
    expect(left).toBeLessThan(16);
    const [row] = await sql`select id::text as id from outrider.redrives`;
    const id = row?.id as string;
    expect(await redriveOf(id)).toMatchObject({ state: "running", redriven: left });
    const second = start(["redrive", "drive", id]);
    await until(async () => (await redriven()) > left, { what: "one letter more" });
    second.kill("SIGTERM");
    const [stdout, [code]] = await Promise.all([text(second.stdout), once(second, "exit")]);
    expect([code, stdout]).toEqual([1, expect.stringContaining(`outrider redrive drive ${id}`)]);
    expect((await outrider("redrive", "pause", id)).code).toBe(0);
    const resumed = await outrider("redrive", "resume", id, "--by", "ben");
    expect([resumed.code, resumed.stderr]).toEqual([0, ""]);
    expect(await redriveOf(id)).toMatchObject({ state: "done", redriven: 16, refused: 0 });
    const history = await sql`
      select letter from outrider.dead_letter_history where action = 'redriven'`;
    expect(new Set(history.map((one) => one.letter)).size).toBe(16);
    expect(history).toHaveLength(16);
  }, 30_000);
});
