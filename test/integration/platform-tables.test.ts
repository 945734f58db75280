import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { connect } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import type { Sql } from "@outrider/postgres";
import { readBacklog } from "../../packages/outbox/src/operate/backlog.ts";
import { readPending } from "../../packages/outbox/src/relay/read.ts";
import type { ReadRequest } from "../../packages/outbox/src/relay/read.ts";
import { planner } from "../../packages/outbox/src/relay/store.ts";
import { settle } from "../../packages/outbox/src/relay/settle.ts";
import { codeOf, failureOf } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "drizzle");

const migrationCount = ["platform", "shop"]
  .flatMap((name) => readdirSync(join(folder, name)))
  .filter((name) => name.endsWith(".sql")).length;

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "test-tables", poolMax: 2 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

describe("migrations", () => {
  /** An empty database, which is dropped again. */
  const withEmpty = async (use: (url: string) => Promise<void>): Promise<void> => {
    const name = `outrider_test_${randomBytes(6).toString("hex")}`;
    await sql`create database ${sql(name)}`;
    try {
      const url = new URL(database.url);
      url.pathname = `/${name}`;
      await use(url.href);
    } finally {
      await sql`drop database ${sql(name)} with (force)`;
    }
  };

  test("apply to an empty database, and a second time nothing is left to apply", () =>
    withEmpty(async (url) => {
      expect(await migrateAll({ url, folder })).toEqual({ applied: migrationCount });
      expect(await migrateAll({ url, folder })).toEqual({ applied: 0 });
    }));

  test("apply once when processes start together", () =>
    withEmpty(async (url) => {
      const runs = Array.from({ length: 4 }, () => migrateAll({ url, folder }));
      const applied = (await Promise.all(runs)).map((run) => run.applied);
      expect(applied.sort()).toEqual([0, 0, 0, migrationCount]);
      const client = connect({ url, name: "test-shards", poolMax: 1 });
      const [row] = await client`select count(*)::int as n from outrider.shards`;
      await client.end();
      expect(row?.n).toBe(8);
    }));

  test("that fail leave the lock free and say what Postgres says", () =>
    withEmpty(async (url) => {
      const failure = await failureOf(migrateAll({ url, folder: join(root, "no-such-folder") }));
      expect(codeOf(failure)).toBe("ENOENT");
      expect((await migrateAll({ url, folder })).applied).toBe(migrationCount);
    }));

  for (const [name, config] of [
    ["platform", "packages/postgres/drizzle.config.ts"],
    ["shop", "apps/shop/drizzle.config.ts"],
  ] as const) {
    test(`of ${name} are all that its tables need: nothing is left to generate`, async () => {
      const copy = mkdtempSync(join(tmpdir(), "outrider-drizzle-"));
      try {
        cpSync(join(folder, name), join(copy, "out"), { recursive: true });
        const before = readdirSync(join(copy, "out")).sort();
        const out = relative(root, join(copy, "out"));
        writeFileSync(
          join(copy, "config.ts"),
          `import config from ${JSON.stringify(join(root, config))};
           export default { ...config, out: ${JSON.stringify(out)} };`,
        );
        const bin = join(root, "node_modules/.bin/drizzle-kit");
        const child = Bun.spawn(
          [bin, "generate", "--config", relative(root, join(copy, "config.ts"))],
          {
            cwd: root,
            stdout: "pipe",
            stderr: "pipe",
          },
        );
        const output = await new Response(child.stdout).text();
        expect(await child.exited).toBe(0);
        expect(output).toContain("No schema changes");
        expect(readdirSync(join(copy, "out")).sort()).toEqual(before);
      } finally {
        rmSync(copy, { recursive: true, force: true });
      }
    }, 60_000);
  }
});

describe("the tables", () => {
  test("the outbox has one index, unique by shard and id", async () => {
    const rows = await sql`
      select indexdef from pg_indexes where schemaname = 'outrider' and tablename = 'outbox'`;
    expect(rows.map((row) => row.indexdef)).toEqual([
      "CREATE UNIQUE INDEX outbox_shard_id ON outrider.outbox USING btree (shard, id)",
    ]);
  });

  test("the outbox's ids and shards are Postgres's to give, one id at a time", async () => {
    const insert = (columns: string, values: string) =>
      failureOf(
        sql.unsafe(`
          insert into outrider.outbox (event_id, topic, key, headers, payload, ${columns})
          values (gen_random_uuid(), 't', 'k', '{}', 'v', ${values})`),
      );
    expect(codeOf(await insert("id", "1"))).toBe("428C9");
    expect(codeOf(await insert("shard", "1"))).toBe("428C9");
    const [row] = await sql`
      select seqcache::int as cache from pg_sequence
      where seqrelid = 'outrider.outbox_id_seq'::regclass`;
    expect(row?.cache).toBe(1);
  });

  test("there are eight shards of the first layout, owned by nobody", async () => {
    const rows = await sql`
      select shard, layout, owner, epoch, deadline, crashes, trying
      from outrider.shards order by shard`;
    expect(rows.map((row) => ({ ...row }))).toEqual(
      Array.from({ length: 8 }, (_, shard) => ({
        shard,
        crashes: 0,
        trying: null,
        layout: 1,
        owner: null,
        epoch: "0",
        deadline: null,
      })),
    );
  });

  test("the inbox takes the three outcomes and no other, once per handler and event", async () => {
    const insert = (state: string, id = randomUUID()) => sql`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
      values ('test.handler', ${id}, ${state}, 't', 0, 0)`;
    const id = randomUUID();
    await insert("handled", id);
    await insert("parked");
    await insert("dead");
    expect(codeOf(await failureOf(insert("ignored")))).toBe("23514");
    expect(codeOf(await failureOf(insert("dead", id)))).toBe("23505");
  });

  test("what is written and deleted all the time is vacuumed by count", async () => {
    const rows = await sql<{ name: string; options: string[] }[]>`
      select relname as name, reloptions as options from pg_class
      where relnamespace = 'outrider'::regnamespace and relkind = 'r' and reloptions is not null
      order by relname`;
    const optionsOf = (name: string) =>
      Object.fromEntries(
        rows.find((row) => row.name === name)?.options.map((option) => option.split("=")) ?? [],
      );
    expect(rows.map((row) => row.name)).toEqual([
      "external_attempts",
      "outbox",
      "outbox_held",
      "parked",
      "parked_heads",
      "readers",
      "redrive_items",
      "redrives",
      "relays",
      "shards",
      "watermarks",
      "workers",
    ]);
    for (const { name } of rows) {
      expect(optionsOf(name)).toHaveProperty("autovacuum_vacuum_scale_factor", "0");
    }
    expect(optionsOf("outbox")).toMatchObject({
      autovacuum_vacuum_threshold: "2000",
      autovacuum_vacuum_cost_delay: "0",
    });
    expect(optionsOf("shards")).toMatchObject({ fillfactor: "50" });
  });
});

describe("plans on 200,000 waiting events", () => {
  const lease = {
    ...{ shard: 3, owner: randomUUID(), epoch: "1", layout: 1, incarnation: "" },
    ...{ crashes: 0, trying: null, tryingCrashes: 0, suspects: undefined },
  };
  const request = { lease, floor: 0, topics: [] as string[], rowsMax: 1000 };
  const bytesMax = 1_000_000;
  let ids: number[] = [];

  beforeAll(async () => {
    await sql`
      insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
      select gen_random_uuid(), 'test.counted', 1, 'counted',
        convert_to('key-' || n % 20000, 'UTF8'), '{}', convert_to(repeat('x', 200), 'UTF8')
      from generate_series(1, 200000) as n`;
    await sql`
      update outrider.shards set owner = ${lease.owner}, epoch = 1,
        deadline = clock_timestamp() + interval '1 hour'`;
    await sql`analyze outrider.outbox, outrider.shards`;
    const rows = await sql`
      select id from outrider.outbox where shard = ${lease.shard} order by id limit 1000`;
    ids = rows.map((row) => Number(row.id));
    const [server] = await sql`
      select extract(epoch from pg_postmaster_start_time())::text as incarnation`;
    lease.incarnation = server?.incarnation;
  }, 60_000);

  type Node = Readonly<{ "Node Type": string; Plans?: readonly Node[] }> &
    Readonly<Record<string, unknown>>;
  type Explained = readonly Readonly<{ "QUERY PLAN": readonly Readonly<{ Plan: Node }>[] }>[];

  const nodesOf = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

  /** The nodes of the plans that a statement gets, with its values and without knowing them. */
  const plansOf = async (act: (client: Sql) => Promise<unknown>): Promise<Node[][]> => {
    const plans: Explained[] = [];
    const explain = async (strings: TemplateStringsArray, ...values: never[]) => {
      const custom = [`explain (format json) ${strings[0]}`, ...strings.slice(1)];
      plans.push(await sql(Object.assign(custom, { raw: custom }), ...values));
      const text = strings.map((part, at) => (at === 0 ? part : `$${at}${part}`)).join("");
      plans.push(await sql.unsafe(`explain (generic_plan, format json) ${text}`));
      return Object.assign([], { count: 0 });
    };
    await act(explain as unknown as Sql);
    return plans.map((rows) =>
      rows.flatMap((row) => row["QUERY PLAN"].flatMap((one) => nodesOf(one.Plan))),
    );
  };

  const typesOn = (table: string, nodes: readonly Node[]): string[] =>
    nodes.filter((node) => node["Relation Name"] === table).map((node) => node["Node Type"]);

  for (const [what, act] of Object.entries({
    "the removal of a pass": (client: Sql) => settle(client, lease, ids),
  })) {
    test(`${what} goes by the index, without a scan of the table or a sort`, async () => {
      const plans = await plansOf(act);
      expect(plans.length).toBe(2);
      for (const nodes of plans) {
        const scans = typesOn("outbox", nodes).filter((type) => type !== "ModifyTable");
        expect(scans).not.toBeEmpty();
        for (const type of scans) expect(["Index Scan", "Index Only Scan"]).toContain(type);
        const indexes = nodes.map((node) => node["Index Name"]).filter(Boolean);
        expect(indexes).toContain("outbox_shard_id");
        expect(nodes.map((node) => node["Node Type"])).not.toContain("Sort");
      }
    });
  }

  /** Pages that a read touches. Its plan is inside of a function, where EXPLAIN does not look. */
  const pagesOf = async (requests: ReadRequest[], most = bytesMax): Promise<number> => {
    const client = connect({ url: database.url, name: "plans", poolMax: 1, parameters: planner });
    let pages = 0;
    const unsafe = (text: string) => ({
      readable: async () => {
        const query = text.replace(/^copy \(/, "").replace(/\) to stdout \(format binary\)$/, "");
        const explained = `explain (analyze, buffers, format json) ${query}`;
        // The first one reads the catalogue, too.
        await client.unsafe(explained);
        const rows = (await client.unsafe(explained)) as unknown as Explained[number][];
        const plan = rows[0]?.["QUERY PLAN"][0]?.Plan ?? {};
        pages =
          Number(Object(plan)["Shared Hit Blocks"]) + Number(Object(plan)["Shared Read Blocks"]);
        return Readable.from([]);
      },
    });
    await readPending({ unsafe } as unknown as Sql, requests, most);
    await client.end();
    return pages;
  };

  test("the read of a pass goes by the index, and ends where it must", async () => {
    // A page holds some 20 rows, and the shard's are spread: about a page for three of its rows.
    expect(await pagesOf([request])).toBeLessThan(1000);
    expect(await pagesOf([{ ...request, topics: ["aside"], rowsMax: 10 }])).toBeLessThan(100);
    expect(await pagesOf([request, request], 1000)).toBeLessThan(100);
    // Nothing of it is left to look through.
    expect(await pagesOf([{ ...request, floor: 10_000_000 }])).toBeLessThan(20);
  });

  test("the removal deletes exactly what it is told, and only for the owner of now", async () => {
    const stale = { ...lease, epoch: "0" };
    expect(await settle(sql, stale, ids)).toBe(0);
    expect(await settle(sql, { ...lease, owner: randomUUID() }, ids)).toBe(0);
    expect(await settle(sql, { ...lease, shard: 4 }, ids)).toBe(0);
    expect(await settle(sql, lease, ids.slice(0, 10))).toBe(10);
    expect(await settle(sql, lease, ids.slice(0, 20))).toBe(10);
  });

  test("the read gives its owner the oldest rows in order, and nobody else anything", async () => {
    const some = { ...request, rowsMax: 500 };
    const read = async (requests: readonly ReadRequest[], most = bytesMax) =>
      [...(await readPending(sql, requests, most)).values()].map((rows) =>
        rows.map(({ id }) => id),
      );
    expect(await read([some])).toEqual([ids.slice(20, 520)]);
    const other = { ...some, lease: { ...lease, shard: 4 } };
    const [mine, others] = await read([some, other]);
    expect(mine).toEqual(ids.slice(20, 520));
    expect(others?.length).toBe(500);
    // 200 bytes each: the fifth row reaches the limit, and the next shard waits.
    expect(await read([some, other], 1000)).toEqual([ids.slice(20, 25)]);
    for (const wrong of [
      { epoch: "0" },
      { owner: randomUUID() },
      { layout: 2 },
      { incarnation: "1" },
    ]) {
      expect(await read([{ ...some, lease: { ...lease, ...wrong } }])).toBeEmpty();
    }
  });

  test("counting what waits stops at a limit", async () => {
    const { pending, oldestAgeMs } = await readBacklog(sql);
    expect(pending).toBe(100_000);
    expect(oldestAgeMs).toBeGreaterThan(0);
    await sql`truncate outrider.outbox`;
    const nothing = { pending: 0, oldestAgeMs: 0, held: 0, blockedKeys: 0, openLetters: 0 };
    expect(await readBacklog(sql)).toEqual(nothing);
  });
});
