/**
 * Every command of README.md and CONTRIBUTING.md. Those of operators run in this process, the
 * others as a reader would start them. A few take minutes or change the checkout: of them it is
 * shown that they are there and take these arguments.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@outrider/postgres";
import { Command } from "commander";
import { withApi } from "../../apps/cli/src/arguments.ts";
import type { Finish } from "../../apps/cli/src/arguments.ts";
import { addOperators } from "../../apps/cli/src/main.ts";
import { apps } from "../../apps/cli/src/project.ts";
import { attentionCode } from "../../apps/cli/src/show.ts";
import { createReceipts } from "../../apps/outside/src/receipts.ts";
import { commandsIn, filledIn } from "../support/commands-in.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testEnvironment, testKafka, testRedisUrl } from "../support/environment.ts";
import { refillOperations } from "../support/fill-operations.ts";
import { runOutrider } from "../support/outrider.ts";
import { silentLog } from "../support/silent-log.ts";

const root = join(import.meta.dirname, "../..");
const textOf = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = JSON.parse(textOf("package.json"));
const commands = [
  ...new Set(["README.md", "CONTRIBUTING.md"].flatMap((page) => commandsIn(textOf(page)))),
];

/** What is not run here, why, and what is asked of it in its place. */
const parsed: Readonly<Record<string, { why: string; instead: string; says: string }>> = {
  dev: { why: "dev.test.ts runs it", instead: "dev --help", says: "--fresh" },
  check: { why: "every whole run of the tests has it", instead: "check --help", says: "types" },
  bench: { why: "it takes minutes", instead: "bench relay --help", says: "relay" },
  chaos: {
    why: "it takes minutes",
    instead: "chaos --minutes 1 --seed 1 --help",
    says: "--seed",
  },
  // The value of NAME is one of those that are listed.
  drill: { why: "it takes minutes", instead: "drill", says: "kills" },
};

/** Verbs of operators that are only shown to parse. */
const parsedVerbs: Readonly<Record<string, string>> = {
  "redrive start": "cli-redrive.test.ts runs it, with letters that can be redriven",
  "replay start": "replay.node.ts runs it, with a topic and a handler on Node",
};

let database: TestDatabase;
let eventId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const sql = connect({ url: database.url, name: "test", poolMax: 1 });
  await refillOperations(sql, { parked: 5, letters: 3, inbox: 5 });
  const [row] = await sql`select event_id from outrider.parked limit 1`;
  eventId = row?.event_id;
  await sql.end();
});

afterAll(async () => {
  await database?.drop();
});

const services = () => ({
  DATABASE_URL: database.url,
  KAFKA_BOOTSTRAP_SERVERS: testKafka().bootstrapServers,
  REDIS_URL: testRedisUrl(),
});

/** `bun run NAME ...` as package.json has it. */
const runScript = async (line: string): Promise<Readonly<{ code: number; output: string }>> => {
  const [name = "", ...args] = line.split(" ");
  const [bun, ...words] = String(manifest.scripts[name]).split(" ");
  expect(bun).toBe("bun");
  const child = Bun.spawn([process.execPath, ...words, ...args], {
    ...{ cwd: root, stdout: "pipe", stderr: "pipe" },
    env: { ...testEnvironment(), ...services() },
  });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  const output = (await Promise.all(texts)).join("");
  return { code: await child.exited, output };
};

const runVerb = async (line: string): Promise<void> => {
  const given = { databaseUrl: database.url, kafka: testKafka(), redisUrl: testRedisUrl() };
  const args = line.replace(/^event \S+/, `event ${eventId}`).split(" ");
  const { code, stdout, stderr } = await runOutrider(given, args);
  expect([stderr, [0, attentionCode].includes(code)]).toEqual(["", true]);
  expect(stdout).not.toBe("");
};

const parseVerb = async (line: string): Promise<void> => {
  let parsedVerbCount = 0;
  const count = (async () => void (parsedVerbCount += 1)) as unknown as Finish;
  const program = withApi(new Command("outrider")).exitOverride();
  addOperators(program, count);
  await program.parseAsync(line.split(" "), { from: "user" });
  expect(parsedVerbCount).toBe(1);
};

/** Of the command, besides those of operators. */
const ownVerbs = /^(topics|completions|--help)\b/;

const done = new Set<string>();

const runOne = async (command: string): Promise<void> => {
  const line = command.replace(/^bun run /, "");
  const [name = "", verb = ""] = line.split(" ");
  const instead = parsed[name];
  if (instead) {
    // The same is told in several places.
    if (done.has(name)) return;
    done.add(name);
    const { code, output } = await runScript(instead.instead);
    expect([code, output]).toEqual([0, expect.stringContaining(instead.says)]);
    return;
  }
  if (name === "outrider" && !ownVerbs.test(verb)) {
    const words = line.replace(/^outrider /, "");
    const isParsed = Object.keys(parsedVerbs).some((one) => words.startsWith(one));
    await (isParsed ? parseVerb(words) : runVerb(words));
    return;
  }
  const { code, output } = await runScript(line);
  expect([code, output]).toEqual([0, expect.stringMatching(/./)]);
};

/** Against a stand-in of the test's own, on another port than the documented one. */
const runCurl = async (command: string): Promise<void> => {
  const [, method = "GET", address = "", body] =
    /^curl(?: -X (\w+))? (\S+)(?: -d '(.*)')?$/.exec(command) ?? [];
  const { port, pathname } = new URL(address);
  expect(apps.find((app) => String(app.port) === port)?.name).toBe("outside");
  const request = { method, ...(body !== undefined && { body }) };
  const stand = createReceipts({
    ...{ log: silentLog, newId: () => "id", checks: {}, readAsset: async () => new Uint8Array() },
    registry: { contentType: "text/plain", metrics: async () => "" },
  });
  expect((await stand.request(pathname, request)).status).toBe(200);
};

/** Commands that are no `bun run`. */
const others: Readonly<Record<string, (command: string) => void>> = {
  // It rewrites files; `bun run check` runs it with --check.
  "bun fmt --print-width=100": () => {
    expect(textOf("apps/cli/src/check.ts")).toContain('"--print-width=100"');
  },
  // It writes a migration.
  "bunx drizzle-kit generate": (command) => {
    const [, config = ""] = / --config (\S+)/.exec(command) ?? [];
    expect(existsSync(join(root, config))).toBe(true);
    expect(existsSync(join(root, "node_modules/.bin/drizzle-kit"))).toBe(true);
  },
  // It is the run that this test is a part of.
  "bun run test": (command) => {
    const [, , , ...paths] = command.split(" ");
    for (const path of paths) expect([path, existsSync(join(root, path))]).toEqual([path, true]);
    expect(existsSync(join(root, "test/run.ts"))).toBe(true);
  },
  "npx --yes bun@": (command) => {
    expect(command).toContain(manifest.packageManager);
  },
};

describe("each command of README.md and CONTRIBUTING.md does what it says", () => {
  test("there are some of each kind", () => {
    expect(commands.length).toBeGreaterThan(30);
    for (const known of [...Object.keys(parsed), "migrate", "outrider topics plan"]) {
      expect(commands.some((one) => one.startsWith(`bun run ${known}`))).toBe(true);
    }
    for (const known of [...Object.keys(others), "curl "]) {
      expect(commands.some((one) => one.startsWith(known))).toBe(true);
    }
  });

  for (const command of commands) {
    test(command, async () => {
      const plain = command.replace(/^time /, "").replace(" [files]", "");
      const other = Object.entries(others).find(([begin]) => plain.startsWith(begin));
      if (other) other[1](plain);
      else if (command.startsWith("curl ")) await runCurl(command);
      else await runOne(filledIn(command));
    });
  }
});

test("what is watched ends when nobody reads it any more", async () => {
  const command = [
    process.execPath,
    join(root, "apps/cli/src/bootstrap.ts"),
    "handlers",
    "--watch",
  ];
  const child = Bun.spawn(command, {
    ...{ cwd: root, stdout: "pipe", stderr: "ignore" },
    env: { ...testEnvironment(), ...services() },
  });
  const reader = child.stdout.getReader();
  expect((await reader.read()).value?.length).toBeGreaterThan(0);
  await reader.cancel();
  expect(await child.exited).toBe(attentionCode);
});
