/**
 * What operators look at and decide by the command, on this machine's database and through an
 * operations API elsewhere. On real Postgres and Redis; the events are rows as handlers leave them.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createOpenTimers } from "@outrider/bullmq";
import type { AuditEntry, BulkOperation, ParkedKey } from "@outrider/operations";
import type { LetterSummary } from "@outrider/redrive";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testRedisUrl } from "../support/environment.ts";
import { refillOperations } from "../support/fill-operations.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";
import { runOutrider } from "../support/outrider.ts";
import type { Given } from "../support/outrider.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let api: TestOperations;
let server: Bun.Server<undefined>;
let key: string;
const ways = ["local", "remote"] as const;
const given = {} as Record<(typeof ways)[number], Given>;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await createTestOperations(database.url);
  server = Bun.serve({ port: 0, fetch: api.answer });
  key = await api.keyWith("admin");
  given.local = { databaseUrl: database.url };
  given.remote = { url: server.url.href, key };
});

afterAll(async () => {
  await server?.stop(true);
  await api?.close();
  await database?.drop();
});

beforeEach(async () => {
  await refillOperations(api.sql, { parked: 30, letters: 30, inbox: 10 });
});

const outrider = (...args: string[]) => runOutrider(given.local, args);

type Items<T> = Readonly<{ items: T[]; next: string | null }>;

const read = async <T>(from: Given, ...args: string[]): Promise<T> => {
  const { stdout, stderr } = await runOutrider(from, [...args, "--json"]);
  expect(stderr).toBe("");
  return JSON.parse(stdout) as T;
};

const parkedOf = async (...filter: string[]) =>
  (await read<Items<ParkedKey>>(given.local, "parked", "list", ...filter)).items;

const idsOf = (items: readonly { id: number }[]) => items.map((one) => String(one.id));

const lastDeed = async () =>
  (await read<Items<AuditEntry>>(given.local, "audit", "--limit", "1")).items[0];

/** Looks again and again until it has looked twice. */
const watched = async (from: Given, args: readonly string[], isTerminal = false) => {
  const stop = new AbortController();
  const said: string[] = [];
  const say = (line: string) => {
    said.push(line);
    if (said.length === 2) stop.abort(new Error("enough"));
  };
  const report = { say, step: () => ({ note: () => {}, end: () => {} }) };
  const { code, stderr } = await runOutrider(from, args, {
    ...{ report, isTerminal, signal: stop.signal },
  });
  return { said, code, stderr };
};

for (const way of ways) {
  describe(`by the ${way} way`, () => {
    const here = (...args: string[]) => runOutrider(given[way], args);

    test("parked keys are listed page by page, and one is shown with its queue", async () => {
      const first = await here("parked", "list", "--limit", "20");
      expect(first.code).toBe(0);
      const [head = "", ...rows] = first.stdout.split("\n");
      expect(head).toMatch(
        /^ *id +handler +state +due +events +runs +tries +parked +code +topic +key$/,
      );
      expect(rows.filter((row) => /^ *\d+ +shop\.handler-/.test(row)).length).toBe(20);
      const [, cursor = ""] = /^more with --cursor (\S+)$/m.exec(first.stdout) ?? [];
      const second = await here("parked", "list", "--limit", "20", "--cursor", cursor);
      expect(second.stdout).not.toContain("more with");
      expect(second.stdout.trimEnd().split("\n").length).toBe(11);
      const [held] = await parkedOf("--state", "held");
      const shown = (await here("parked", "show", String(held?.id))).stdout;
      expect(shown).toContain(`parked     ${held?.id}, held\n`);
      expect(shown).toContain(`cause      ${held?.first.code}: no order\n`);
      expect(shown).toMatch(/^events +4$/m);
      expect(shown).not.toContain("behind them");
      expect((await here("parked", "list", "--key", "none")).stdout).toBe("no parked keys\n");
    });

    test("one parked key is run, postponed and buried", async () => {
      const [one] = await parkedOf("--state", "waiting", "--limit", "1");
      const id = String(one?.id);
      expect((await here("parked", "run", id)).stdout).toBe(`parked key ${id} is due now\n`);
      expect((await parkedOf("--state", "due")).map((found) => found.id)).toEqual([Number(id)]);
      const later = await here("parked", "postpone", id, "--until", "2h", "--reason", "noon");
      expect(later.stdout).toBe(`parked key ${id} is postponed\n`);
      expect(await lastDeed()).toMatchObject({
        ...{ action: "postponeParked", target: `events/${one?.first.eventId}` },
        details: { parked: Number(id), reason: "noon" },
      });
      const buried = await here("parked", "bury", id, "--reason", "no such order", "--skip");
      expect(buried.stdout).toBe(
        `parked key ${id} has its first event given up: see outrider dead list\n`,
      );
      const letters = await read<Items<LetterSummary>>(
        ...[given[way], "dead", "list", "--code", "BURIED_BY_OPERATOR"],
      );
      expect(letters.items).toMatchObject([{ message: "no such order", skipped: true }]);
      const again = await here("parked", "run", "999999");
      expect([again.code, again.stderr]).toEqual([1, "There is no parked key 999999\n"]);
    });

    test("several are decided about as an operation, by id, by filter and all", async () => {
      const ids = idsOf(await parkedOf("--state", "waiting", "--limit", "3"));
      const several = await here("parked", "run", ...ids, "--reason", "by hand");
      expect([several.code, several.stderr]).toEqual([0, ""]);
      expect(several.stdout).toMatch(/^operation +\d+, done$/m);
      expect(several.stdout).toMatch(/^reason +by hand, /m);
      const held = ["parked", "run", "--state", "held", "--reason", "try"];
      const refused = await here(...held);
      expect([refused.code, refused.stderr]).toEqual([3, ""]);
      expect(refused.stdout).toMatch(/^refused +3, the last one: .*letter/m);
      const all = ["parked", "postpone", "--all", "--until", "2099-01-01T00:00Z", "--reason", "x"];
      const operation = await read<BulkOperation>(given[way], ...all);
      expect(operation).toMatchObject({ action: "postpone-parked", total: 30, done: 27 });
      const listed = (await here("operation", "list")).stdout;
      expect(listed).toMatch(/^ +\d+ +done +run-parked +0 +3 +3 .* try$/m);
      const shown = await here("operation", "show", String(operation.id));
      expect([shown.code, shown.stdout]).toEqual([3, expect.stringMatching(/^meant +30$/m)]);
    });

    test("dead letters and their groups are listed", async () => {
      const first = await here("dead", "list", "--limit", "10");
      const [, cursor = ""] = /^more with --cursor (\S+)$/m.exec(first.stdout) ?? [];
      const next = await read<Items<LetterSummary>>(
        ...[given[way], "dead", "list", "--limit", "100", "--cursor", cursor],
      );
      expect([next.items.length, next.next]).toEqual([16, null]);
      const groups = (await here("dead", "groups", "--limit", "5")).stdout;
      expect(groups).toMatch(/^letters +newest +buried +by +code +group$/m);
      expect(groups).toEndWith("\n\nthere may be more: --limit\n");
      expect((await here("dead", "groups", "--limit", "100")).stdout).not.toContain("may be more");
    });

    test("keys are made, listed and revoked, and the audit says by whom", async () => {
      const made = await here(
        "keys",
        "create",
        `ann ${way}`,
        "--scope",
        "admin",
        "--expires",
        "2d",
      );
      expect(made.stdout).toMatch(/^ork_\d+_[\w-]{43}\n$/);
      const [, id = ""] = /^ork_(\d+)_/.exec(made.stdout) ?? [];
      const listed = (await here("keys", "list")).stdout;
      expect(listed).toMatch(
        new RegExp(`^ +${id} +ann ${way} +valid +admin .* never +in 1 d$`, "m"),
      );
      expect(listed).not.toContain(made.stdout.trim().slice(-43));
      expect((await here("keys", "revoke", id)).stdout).toBe(`key ${id} is revoked\n`);
      expect((await here("keys", "revoke", id)).stderr).toBe(`Key ${id} is revoked already\n`);
      const audit = (await here("audit", "--target", `keys/${id}`, "--action", "revokeKey")).stdout;
      const [head = "", row = ""] = audit.split("\n");
      expect(head).toMatch(/^at +by +key +did +to +details$/);
      expect(row).toMatch(new RegExp(`^20\\S+Z .* revokeKey +keys/${id} +{}$`));
      expect((await here("audit", "--actor", "nobody")).stdout).toBe("nothing was changed\n");
    });

    test("the outbox is shown, and needs a human where nobody publishes", async () => {
      const status = await here("relay", "status");
      expect([status.code, status.stderr]).toEqual([3, ""]);
      expect(status.stdout).toMatch(/^! nobody publishes shards 0, 1, 2/m);
      const json = JSON.parse((await here("relay", "status", "--json")).stdout);
      expect(json).toMatchObject({
        rates: { drain: 0 },
        relays: [],
        findings: [{ entity: "shard", rule: "shard_unowned" }],
      });
      expect(json.shards.length).toBe(8);
    });

    test("a list is watched until it is told to stop", async () => {
      const table = await watched(given[way], ["parked", "list", "--watch"], true);
      expect([table.code, table.stderr, table.said.length]).toEqual([0, "", 2]);
      for (const one of table.said) {
        expect(one).toStartWith("\u001b[2J\u001b[H");
        expect(one).toMatch(/ *id +handler +state /);
      }
      // Into a pipe nothing is drawn.
      const piped = await watched(given[way], ["parked", "list", "--watch"]);
      expect(piped.said.join("")).not.toContain("\u001b");
      const lines = await watched(given[way], ["dead", "groups", "--watch", "--json"]);
      expect(lines.said.map((one) => (JSON.parse(one) as Items<object>).items.length)).toEqual([
        ...[20, 20],
      ]);
      const relay = ["relay", "status", "--watch", "--interval", "1"];
      expect(await watched(given[way], relay)).toMatchObject({ code: 0, stderr: "" });
    });
  });
}

describe("handlers and workers", () => {
  test("need a human when a handler is held back, runs nowhere or has given up", async () => {
    const found = await outrider("handlers");
    expect(found.code).toBe(3);
    expect(found.stdout).toMatch(/^! nobody runs shop\.handler-0; .*handlers forget/m);
    await api.sql`
      insert into outrider.workers (instance, name, started_at, deadline, stats)
      select gen_random_uuid(), 'host 1', now() - interval '1 h', now() + interval '1 min',
        jsonb_object_agg(name, '{"handled": 5, "failed": 1, "ratePerS": 0.5}'::jsonb)
      from outrider.handlers`;
    const letters = /^! shop\.handler-0 has given up 1 event; see `outrider dead groups --handler/m;
    expect(found.stdout).toMatch(letters);
    await api.sql`truncate outrider.dead_letters`;
    expect((await outrider("handlers")).stdout).toEndWith("\nall is well\n");
    expect((await outrider("handlers")).code).toBe(0);
    await api.sql`
      insert into outrider.breakers (handler, open_until, code, message)
      values ('shop.handler-3', now() + interval '1 min', 'DOWN', ${"away\u001b[2J"})`;
    const held = await outrider("handlers");
    expect(held.stdout).toMatch(/^! shop\.handler-3 is held back.*: DOWN: away�\[2J; /m);
    const workers = (await outrider("workers")).stdout;
    expect(workers).toMatch(/^host 1 +alive .* shop\.handler-0 +5 +1 /m);
    await api.sql`truncate outrider.workers, outrider.handlers`;
    expect((await outrider("workers")).stdout).toBe("no workers\n");
  });

  test("one that nobody runs any more is forgotten, when nothing of it waits", async () => {
    const forget = (name: string) => outrider("handlers", "forget", name, "--by", "ann");
    const [refused, unknown] = [await forget("shop.handler-0"), await forget("shop.none")];
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("are parked")]);
    expect([unknown.code, unknown.stderr]).toEqual([1, "Nobody knows a handler shop.none\n"]);
    await api.sql`
      truncate outrider.parked, outrider.parked_heads, outrider.dead_letters,
        outrider.dead_letter_history`;
    expect((await forget("shop.handler-0")).code).toBe(0);
    expect((await outrider("handlers")).stdout).not.toContain("shop.handler-0");
    expect(await lastDeed()).toMatchObject({
      ...{ action: "forgetHandler", actor: "ann", target: "handlers/shop.handler-0" },
    });
    await api.sql`
      insert into outrider.workers (instance, name, started_at, deadline, stats)
      values (gen_random_uuid(), 'host 1', now(), now() + interval '1 min',
        '{"shop.handler-1": {"handled": 0, "failed": 0, "ratePerS": 0}}')`;
    expect((await forget("shop.handler-1")).stderr).toStartWith("1 workers run shop.handler-1");
    await api.sql`truncate outrider.workers, outrider.handlers`;
  });

  test("are part of what health tells, with the outbox", async () => {
    const health = await outrider("health");
    expect(health.code).toBe(3);
    expect(health.stdout).toMatch(/^! nobody publishes shards 0, 1, 2/m);
    expect(health.stdout).toMatch(/^! nobody runs shop\.handler-0/m);
    const json = await runOutrider(given.remote, ["health", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ isWell: false });
  });
});

describe("an event", () => {
  test("is told as a story, and what others have written cannot draw on the terminal", async () => {
    const [one] = await parkedOf("--state", "waiting", "--limit", "1");
    const id = one?.first.eventId ?? "";
    const foreign = { ce_id: id, ce_type: "odd\u001b[2J", ce_source: "a\u0007b" };
    await api.sql`
      update outrider.parked set headers = ${JSON.stringify(Object.entries(foreign))}::text::json
      where event_id = ${id}`;
    const told = await outrider("event", id);
    expect(told.code).toBe(0);
    expect(told.stdout).toContain("type       odd�[2J, version 1, from a�b\n");
    expect(told.stdout).toContain(`key        ${one?.key}\n`);
    expect(told.stdout).toMatch(/ shop\.handler-\d+ +.*CODE_/);
    const letters = await read<Items<LetterSummary>>(given.local, "dead", "list", "--limit", "1");
    const [letter] = letters.items;
    await api.sql`update outrider.dead_letters set type = ${foreign.ce_type}`;
    const shown = (await outrider("dead", "show", String(letter?.id))).stdout;
    expect(shown).toContain("type       odd�[2J, version 1\n");
    // A letter of it is open.
    expect((await outrider("event", letter?.eventId ?? "", "--json")).code).toBe(3);
  });
});

describe("the timers of retries", () => {
  const queue = `test-${crypto.randomUUID()}`;

  test("are shown beside their keys, and the lack of Redis is said", async () => {
    const away = await outrider("retry-queue");
    expect([away.code, away.stderr]).toEqual([1, "REDIS_URL is not set: there are no timers\n"]);
    const redisUrl = testRedisUrl();
    const timers = createOpenTimers(redisUrl, silentLog)(queue, () => {});
    await until(() => timers.isHealthy(), { what: "health" });
    const [one] = await parkedOf("--state", "waiting", "--limit", "1");
    await timers.set([{ id: String(one?.id), delayMs: 3_600_000 }]);
    await timers.close();
    const local = { databaseUrl: database.url, redisUrl };
    const shown = await runOutrider(local, ["retry-queue", "--queue", queue]);
    const [head = "", , row = ""] = shown.stdout.split("\n");
    expect(head).toBe(`${queue}: 1 delayed, 0 waiting, 0 active, 0 failed`);
    expect(row).toMatch(new RegExp(`^delayed +in 59 min +${one?.id} .* another due time$`));
    await api.sql`update outrider.handlers set queue = ${queue}`;
    const missing = (await runOutrider(local, ["retry-queue"])).stdout;
    expect(missing.split("\n").filter((line) => line.endsWith(" no timer")).length).toBe(26);
    expect((await runOutrider(local, ["retry-queue", "--queue", "none"])).stdout).toBe(
      "none: 0 delayed, 0 waiting, 0 active, 0 failed\n",
    );
  });
});
