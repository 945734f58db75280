/**
 * The command where something is refused, away, slow or in the middle: one sentence, an exit code,
 * and never for long. On real Postgres.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { BulkOperation } from "@outrider/operations";
import { createCuttable } from "../support/cuttable.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { refillOperations } from "../support/fill-operations.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";
import { runOutrider } from "../support/outrider.ts";
import type { Given } from "../support/outrider.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
/** Nobody carries out what is begun here. */
let api: TestOperations;
let server: Bun.Server<undefined>;
let local: Given;
let remote: Given & { key: string };

beforeAll(async () => {
  database = await createTestDatabase();
  api = await createTestOperations(database.url, { isDriving: false });
  server = Bun.serve({ port: 0, fetch: api.answer });
  local = { databaseUrl: database.url };
  remote = { url: server.url.href, key: await api.keyWith("admin") };
});

afterAll(async () => {
  await server?.stop(true);
  await api?.close();
  await database?.drop();
});

beforeEach(async () => {
  await refillOperations(api.sql, { parked: 30, letters: 3, inbox: 0 });
});

/** A report that keeps what is said, and tells how far something is. */
const createReport = (onSaid: (count: number) => void = () => {}) => {
  const said: string[] = [];
  const notes: string[] = [];
  const say = (line: string) => {
    said.push(line);
    onSaid(said.length);
  };
  const note = (text: string) => void notes.push(text);
  return { said, notes, report: { say, step: () => ({ note, end: () => {} }) } };
};

const inOneSentence = async (from: Given, args: readonly string[], message: RegExp | string) => {
  const { code, stderr, stdout } = await runOutrider(from, args);
  expect([args.join(" "), code, stdout]).toEqual([args.join(" "), 1, ""]);
  if (typeof message === "string") expect(stderr).toBe(`${message}\n`);
  else expect(stderr).toMatch(message);
};

describe("what makes no sense", () => {
  const who = /needs\n {2}which keys: by id, by an option such as --handler, or --all\n/;
  const cursor = "The cursor is none that this list has given";
  const refusals = [
    [["parked", "run"], who],
    [["parked", "bury", "--reason", "x"], who],
    [["parked", "bury", "7"], /needs\n {2}--reason <text>/],
    [["parked", "postpone", "7"], /needs\n {2}--until <time>/],
    [["parked", "postpone", "7", "--until", "soon"], /It is a time such as 2026-01-31T12:00Z/],
    [["parked", "list", "--state", "odd"], /Allowed choices are running, due, waiting, held/],
    [["parked", "list", "--cursor", "odd"], cursor],
    [["dead", "list", "--cursor", "WyJhIl0"], cursor],
    [["dead", "list", "--limit", "0"], /It is a whole number from 1 to 10000/],
    [["dead", "groups", "--limit", "1001"], /It is a whole number from 1 to 1000/],
    [["dead", "groups", "--cursor", "WzFd"], /unknown option '--cursor'/],
    [["parked", "run", "--handler", "none", "--reason", "x"], "Nothing matches"],
    [["parked", "show", "999"], "There is no parked key 999"],
    [["operation", "show", "999"], "There is no operation 999"],
    [["operation", "cancel", "999"], "There is no operation 999"],
    [["operation", "drive", "999"], "There is no operation 999"],
    [["keys", "revoke", "999"], "There is no key 999"],
    [["keys", "create", "a"], /required option '--scope <scope...>'/],
    [["event", "1"], /nor is it the key of an event since/],
    [["event", "01890a5d-ac96-774b-bcce-b302099a8057"], /^No handler and no letter knows/],
  ] as const;

  test("is refused in one sentence, on this machine and elsewhere", async () => {
    for (const from of [local, remote]) {
      for (const [args, message] of refusals) await inOneSentence(from, args, message);
      const empty = await runOutrider(from, ["parked", "bury", "--all", "--reason", ""]);
      expect(empty.stderr).toBe("1 field is not valid\n  reason must not be empty\n");
    }
  });

  test("as a name for what is done elsewhere, where the key has one", async () => {
    const message = "--by is for this machine: the key has a name";
    for (const args of [
      ["parked", "run", "7", "--by", "ann"],
      ["operation", "cancel", "7", "--by", "ann"],
      ["keys", "revoke", "7", "--by", "ann"],
    ]) {
      await inOneSentence(remote, args, message);
    }
  });
});

describe("an operations API elsewhere", () => {
  test("needs a key, which is said among the arguments or before", async () => {
    const { key, ...without } = remote as { url: string; key: string };
    await inOneSentence(without, ["workers"], "A key is needed: OUTRIDER_KEY, or --api-key");
    await inOneSentence(
      ...[{ ...without, key: "ork_1_no" }, ["workers"], "This key is wrong, revoked or expired"],
    );
    const said = await runOutrider(local, ["workers", "--url", without.url, "--api-key", key]);
    expect([said.code, said.stdout]).toEqual([0, "no workers\n"]);
    const narrow = { ...without, key: await api.keyWith("events:read") };
    await inOneSentence(
      narrow,
      ["audit"],
      /^The key test \d+ \S+ does not have the scope admin\n$/,
    );
  });

  test("that is away, or is none, is named", async () => {
    const { key } = remote;
    const away = { url: "http://127.0.0.1:9", key };
    const message = "The operations API does not answer at http://127.0.0.1:9";
    await inOneSentence(away, ["handlers"], message);
    const other = Bun.serve({
      port: 0,
      fetch: ({ url }) => new Response("<html>", { status: url.includes("workers") ? 404 : 200 }),
    });
    const { href } = other.url;
    const none = { url: href, key };
    await inOneSentence(
      none,
      ["handlers"],
      `What answers at ${href}v1/handlers is no operations API`,
    );
    await inOneSentence(
      ...[none, ["workers"], /^What answers at \S+ with status 404 is no operations API\n$/],
    );
    await other.stop(true);
  });

  test("that never answers is waited for until the command is stopped", async () => {
    const asked = Promise.withResolvers<void>();
    const hanging = Bun.serve({
      port: 0,
      fetch: () => {
        asked.resolve();
        return new Promise<Response>(() => {});
      },
    });
    const stop = new AbortController();
    const from = { url: hanging.url.href, key: remote.key };
    const running = runOutrider(from, ["workers"], { signal: stop.signal });
    await asked.promise;
    stop.abort(new Error("a test"));
    const { code, stderr } = await running;
    expect([code, stderr]).toEqual([1, "It was stopped before there was an answer\n"]);
    await hanging.stop(true);
  });

  test("that is away for a while does not end a screen", async () => {
    const between = await createCuttable(server.url.href);
    const from = { url: between.url, key: remote.key };
    const stop = new AbortController();
    const { said, report } = createReport();
    const more = { report, signal: stop.signal };
    const running = runOutrider(from, ["parked", "list", "--watch"], more);
    await until(() => said.length > 0, { what: "the first look" });
    await between.cut();
    const last = () => said.at(-1) ?? "";
    await until(() => /does not answer at .*; looking again$/.test(last()), { what: "a gap" });
    await between.restore();
    await until(() => last().includes("shop.handler-0"), { what: "another look" });
    stop.abort(new Error("a test"));
    expect(await running).toMatchObject({ code: 0, stderr: "" });
    await between.close();
    await inOneSentence(from, ["parked", "list", "--watch"], /^The operations API does not answer/);
  });
});

describe("an operation over many", () => {
  const begin = async (): Promise<string> => {
    const body = { action: "run-parked", filter: {}, all: true, reason: "begun elsewhere" };
    const response = await api.post("/v1/parked/bulk", body);
    return String(((await response.json()) as { id: number }).id);
  };

  test("that nobody drives is driven by several, each of its keys once", async () => {
    const id = await begin();
    const [one, other] = await Promise.all([
      runOutrider(local, ["operation", "drive", id]),
      runOutrider(local, ["operation", "drive", id, "--json"]),
    ]);
    expect([one.stdout, one.code]).toEqual([expect.stringContaining(`${id}, done\n`), 3]);
    const told = JSON.parse(other.stdout) as BulkOperation;
    expect(told).toMatchObject({ state: "done", total: 30, done: 27, refused: 3 });
  });

  test("that another process is at is waited for, in no hurry", async () => {
    const id = await begin();
    const { notes, report } = createReport();
    const driving = await api.sql.begin(async (tx) => {
      await tx`select from outrider.operations where id = ${id} for update`;
      const running = runOutrider(local, ["operation", "drive", id], { report });
      await until(() => notes.length > 2, { what: "some looks" });
      expect(notes.length).toBeLessThan(10);
      return { running };
    });
    expect((await driving.running).code).toBe(3);
  });

  test("goes on elsewhere when its command is stopped, and can be cancelled", async () => {
    const id = await begin();
    const stop = new AbortController();
    const { said, notes, report } = createReport();
    const stopped = await api.sql.begin(async (tx) => {
      await tx`select from outrider.operations where id = ${id} for update`;
      const more = { report, signal: stop.signal };
      const running = runOutrider(local, ["operation", "drive", id], more);
      await until(() => notes.length > 0, { what: "a look" });
      stop.abort(new Error("a test"));
      return running;
    });
    expect(stopped).toMatchObject({ code: 1, stderr: "" });
    expect(said.at(-1)).toBe(`go on with: outrider operation drive ${id}`);
    const watching = ["operation", "show", id, "--watch", "--json"];
    const lines = createReport((count) => count === 2 && stopLooking.abort(new Error("a test")));
    const stopLooking = new AbortController();
    const shown = await runOutrider(remote, watching, {
      report: lines.report,
      signal: stopLooking.signal,
    });
    expect([shown.code, lines.said.length]).toEqual([1, 2]);
    const cancel = ["operation", "cancel", id];
    expect((await runOutrider(remote, cancel)).stdout).toBe(`operation ${id} is cancelled\n`);
    await inOneSentence(local, cancel, `Operation ${id} is cancelled`);
    expect((await runOutrider(local, ["operation", "list"])).stdout).toMatch(
      / cancelled +run-park/,
    );
  });
});
