/**
 * How the database finds what operators ask for: every list with every filter, and the life of an
 * event. Each statement of each look is run and its plan looked at.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { planning } from "@outrider/operations";
import { connect } from "@outrider/postgres";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { operationsOf } from "../support/answer-check.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { keepStatements, planNodes } from "../support/kept-statements.ts";
import type { KeptStatement, PlanNode } from "../support/kept-statements.ts";
import { eventPath, exportLooks, findPlaces, lifeLooks } from "../support/operation-looks.ts";
import { listLooks, previewLooks } from "../support/operation-looks.ts";
import type { Look } from "../support/operation-looks.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";

let database: TestDatabase;
let sql: Sql;
let api: TestOperations;
let take: () => KeptStatement[];
let looks: readonly Look[];

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "test-plans", poolMax: 4, parameters: planning });
  const kept = keepStatements(sql);
  take = kept.take;
  const counts = { delayed: 0, waiting: 0, active: 0, failed: 0 };
  const retryQueues = {
    read: async () => ({ counts, jobs: [], isWhole: true }),
    close: async () => {},
  };
  api = await createTestOperations(database.url, { sql: kept.sql, retryQueues });
  const sizes = { parked: 20_000, letters: 20_000, inbox: 100_000, outbox: 20_000, audit: 20_000 };
  await fillOperations(sql, sizes);
  await sql.unsafe("vacuum analyze");
  const places = await findPlaces(sql);
  const hints = { topic: "topic-1", key: "key-1" };
  const besides = [
    { name: "an event, hinted at", path: eventPath(places.events.buried, hints) },
    { name: "retry queue", path: "/v1/retry-queue" },
    { name: "retry queue of an app", path: "/v1/retry-queue?queue=shop&limit=10" },
    { name: "a parked key, a page", path: `/v1/parked/${places.parked}/events?limit=10` },
  ];
  const lists = [...listLooks(places), ...exportLooks(places), ...previewLooks()];
  looks = [...lists, ...lifeLooks(places), ...besides];
}, 120_000);

afterAll(async () => {
  await api?.close();
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

/** Where there are many rows, and an index for what is asked. */
const tables = ["inbox", "dead_letters", "parked", "parked_heads", "failed_attempts", "outbox"];

/** Rows that a look into a table may read in vain: a fifth of those that there are. */
const passedMax = 4000;

/** What is asked for without an index, each with the reason. */
const exceptions: readonly Readonly<{ look: RegExp; table: string; why: string }>[] = [
  {
    look: /^(letters|groups): .*with a text/,
    table: "dead_letters",
    why: "what is in a payload is in no index; a request looks through a stretch of the letters",
  },
  {
    look: /^(letters|groups): (open, )?(since|until)/,
    table: "dead_letters",
    why: "letters are nearly in the order of time; another index would be written by each failure",
  },
  {
    look: /^groups: of handlers$/,
    table: "dead_letters",
    why: "all that match are counted, and that is all there are",
  },
  {
    look: /^parked: (handler, )?running$/,
    table: "parked_heads",
    why: "a claim is written by each run, which an index of claims would make dearer",
  },
  {
    look: /^(export|preview)/,
    table: "dead_letters",
    why: "all letters that match are read, which may be all there are",
  },
  {
    look: /^preview/,
    table: "parked",
    why: "many letters are looked for among the parked events, which one pass does for all",
  },
  {
    look: /^events/,
    table: "outbox",
    why: "what people know of an event is in no index, which each write would pay for",
  },
  {
    look: /^a redrive$/,
    table: "outbox",
    why: "has no index by event; asked only for the relay's letters that were passed over",
  },
];

const findProblems = (nodes: readonly PlanNode[]): string[] =>
  nodes.flatMap((node) => {
    const table = String(node["Relation Name"] ?? "");
    if (!tables.includes(table)) return [];
    const passed = Number(node["Rows Removed by Filter"] ?? 0);
    return [
      ...(String(node["Node Type"]).includes("Seq Scan") ? [`${table}: is read whole`] : []),
      ...(passed > passedMax ? [`${table}: ${passed} rows are read in vain`] : []),
    ];
  });

const statementsOf = async ({ name, path, status = 200 }: Look): Promise<KeptStatement[]> => {
  take();
  const response = await api.look(path);
  await response.text();
  expect([name, response.status]).toEqual([name, status]);
  return take().filter(({ text }) => /^\s*(--.*\s*)*(select|with|\()/.test(text));
};

const problemsOf = (tx: TransactionSql, statements: readonly KeptStatement[]) =>
  statements.reduce<Promise<string[]>>(
    async (before, one) => [...(await before), ...findProblems(await planNodes(tx, one))],
    Promise.resolve([]),
  );

/** What is said of a look with `damage` done to the tables, which is undone. */
const damaged = async (name: string, damage: string): Promise<string[]> => {
  const look = looks.find((one) => one.name === name);
  const statements = look ? await statementsOf(look) : [];
  let problems: string[] = [];
  const undo = new Error("undo");
  const work = sql.begin(async (tx) => {
    await tx.unsafe(damage);
    problems = await problemsOf(tx, statements);
    throw undo;
  });
  await work.catch((error: unknown) => {
    if (error !== undo) throw error;
  });
  return problems;
};

describe("what operators ask", () => {
  test("is answered by indexes, but for what is excepted", async () => {
    const needed = new Set<(typeof exceptions)[number]>();
    for (const look of looks) {
      const statements = await statementsOf(look);
      expect([look.name, statements.length]).not.toEqual([look.name, 0]);
      const problems = await sql.begin((tx) => problemsOf(tx, statements));
      const ofLook = exceptions.filter((one) => one.look.test(look.name));
      const isExcepted = (problem: string) => {
        const exception = ofLook.find(({ table }) => problem.startsWith(`${table}:`));
        if (exception) needed.add(exception);
        return exception !== undefined;
      };
      expect([look.name, problems.filter((one) => !isExcepted(one))]).toEqual([look.name, []]);
    }
    expect(exceptions.filter((one) => !needed.has(one))).toEqual([]);
  }, 120_000);

  test("is everything that can be asked, with every filter", () => {
    const urls = looks.map(({ path }) => new URL(path, "http://test"));
    for (const { method, path, operation } of operationsOf(api.document)) {
      if (method !== "GET") continue;
      const pattern = new RegExp(`^${path.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`);
      const own = urls.filter(({ pathname }) => pattern.test(pathname));
      expect([path, own.length > 0]).toEqual([path, true]);
      const inQuery = (operation.parameters ?? []).filter((one) => one.in === "query");
      const names = inQuery.filter(({ name }) => name !== "limit");
      const missing = names.filter(({ name }) => !own.some((url) => url.searchParams.has(name)));
      expect([path, missing.map(({ name }) => name)]).toEqual([path, []]);
    }
  });
});

describe("the check", () => {
  const inboxKey = "inbox_handler_event_id_pk";
  const drop = (index: string) => `drop index outrider.${index}`;
  const damages: Readonly<Record<string, readonly [table: string, damage: string]>> = {
    "letters: of a key": ["dead_letters", drop("dead_letters_key")],
    "letters: open, of a code that is none": ["dead_letters", drop("dead_letters_code")],
    "parked: key": ["parked_heads", drop("parked_heads_key")],
    "parked: code that is none": ["parked", drop("parked_code")],
    "parked event": ["failed_attempts", drop("failed_attempts_event")],
    "handled event": ["inbox", `alter table outrider.inbox drop constraint ${inboxKey}`],
  };
  for (const [name, [table, damage]] of Object.entries(damages)) {
    test(`fails for "${name}" without its index`, async () => {
      expect(await damaged(name, "select")).toEqual([]);
      const problems = await damaged(name, damage);
      expect(problems.filter((one) => one.startsWith(`${table}:`))).not.toBeEmpty();
    });
  }
});
