import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import { connect } from "@outrider/postgres";
import { loadSettings } from "@outrider/runtime";
import { choosePort, writeStackFile } from "@outrider/stack";
import { check } from "../../apps/cli/src/check.ts";
import { ensurePackages } from "../../apps/cli/src/install.ts";
import { migrate } from "../../apps/cli/src/migrate.ts";
import { cliSettings } from "../../apps/cli/src/settings.ts";
import { topics } from "../../apps/cli/src/topics.ts";
import { createTestContext } from "../support/cli.ts";
import { createTestDatabase } from "../support/database.ts";
import { testEnvironment, testKafka } from "../support/environment.ts";
import { until } from "../support/until.ts";
import { runOutrider } from "../support/outrider.ts";

const folder = createTestContext().stateRoot;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (path: string, text: string) => writeFileSync(join(folder, path), text);
const read = (path: string) =>
  existsSync(join(folder, path)) ? readFileSync(join(folder, path), "utf8") : "";

describe("settings of the command", () => {
  test("are all optional, and a Kafka needs its address", () => {
    expect(loadSettings(cliSettings, { env: {} })).toEqual({});
    const { kafka, redisUrl, outrider } = loadSettings(cliSettings, {
      env: {
        KAFKA_BOOTSTRAP_SERVERS: "a:1",
        REDIS_URL: "redis://localhost",
        OUTRIDER_STACK: "docker",
      },
    });
    expect(kafka).toEqual({ bootstrapServers: "a:1" });
    expect(redisUrl).toBe("redis://localhost");
    expect(outrider?.stack).toBe("docker");
  });

  test("name what is wrong", () => {
    const load = () => loadSettings(cliSettings, { env: { OUTRIDER_STACK: "cloud" } });
    expect(load).toThrow("OUTRIDER_STACK: must be embedded or docker");
  });
});

describe("outrider migrate", () => {
  test("without DATABASE_URL says so", async () => {
    const error = await migrate(createTestContext({ stateRoot: folder })).catch((e: unknown) => e);
    expect(isFault(error, "settings_invalid")).toBe(true);
    expect(String(error)).toContain("DATABASE_URL");
  });
});

describe("outrider migrate", () => {
  const migrating = (databaseUrl: string) =>
    migrate(createTestContext({ stateRoot: folder, settings: { databaseUrl } })).catch(
      (error: unknown) => error,
    );
  const given = new URL(testEnvironment().DATABASE_URL ?? "");
  const urlWith = (changes: Partial<Record<"port" | "username" | "pathname", string>>) =>
    Object.assign(new URL(given), changes).href;

  test("says in a sentence what is wrong with the database, and the next step", async () => {
    const role = `nobody_${randomUUID().replaceAll("-", "")}`;
    const admin = connect({ url: given.href, name: "test", poolMax: 1 });
    await admin.unsafe(`create role ${role} login password '${given.password}'`);
    try {
      const nowhere = String(await choosePort([0]));
      const wrong = {
        unavailable: [urlWith({ port: nowhere }), /does not answer; start it, .*ECONNREFUSED/],
        not_found: [urlWith({ pathname: "/none" }), /no such database; create it, .*"none"/],
        forbidden: [urlWith({ username: role }), /lacks a right; grant it, .*permission denied/],
      } as const;
      for (const [code, [url, sentence]] of Object.entries(wrong)) {
        const error = await migrating(url);
        expect([isFault(error) && error.code, String(error)]).toEqual([
          code,
          expect.stringMatching(sentence),
        ]);
        expect(String(error)).not.toContain("\n");
      }
    } finally {
      await admin.unsafe(`drop role ${role}`);
      await admin.end();
    }
  });
});

test("migrate and topics find what runs in this folder, as the other verbs do", async () => {
  const stateRoot = createTestContext().stateRoot;
  const database = await createTestDatabase();
  try {
    mkdirSync(join(stateRoot, ".outrider"));
    writeStackFile(join(stateRoot, ".outrider"), {
      services: {
        postgres: { url: database.url },
        kafka: { url: testKafka().bootstrapServers },
      },
      apps: {},
    });
    const context = createTestContext({ stateRoot });
    expect(await migrate(context)).toBe(0);
    expect(context.said.join("\n")).toContain("up to date");
    expect(await topics(context, "apply", { profile: "dev" })).toBe(0);
    expect(await topics(context, "plan", { profile: "dev" })).toBe(0);
  } finally {
    await database.drop();
    rmSync(stateRoot, { recursive: true, force: true });
  }
});

test("a verb of operators says in a sentence that the database is away", async () => {
  const away = await runOutrider({ databaseUrl: "postgres://x:y@127.0.0.1:1/x" }, ["health"]);
  expect(away.code).toBe(1);
  expect(away.stderr).toStartWith("Postgres does not answer; start it, or correct the host");
});

test("what works on services themselves refuses the address of an API", async () => {
  const settings = { kafka: testKafka(), outrider: { url: "http://127.0.0.1:9" } };
  const context = createTestContext({ stateRoot: folder, settings });
  for (const verb of [() => migrate(context), () => topics(context, "plan", { profile: "dev" })]) {
    const error = await verb().catch((e: unknown) => e);
    expect(isFault(error, "settings_invalid") && error.message).toContain("not on an API");
  }
});

describe("outrider topics", () => {
  test("apply creates the catalogue, and plan finds nothing to do after it", async () => {
    const context = createTestContext({ stateRoot: folder, settings: { kafka: testKafka() } });
    expect(await topics(context, "apply", { profile: "dev" })).toBe(0);
    expect(await topics(context, "plan", { profile: "dev" })).toBe(0);
    expect(context.said.slice(-2)).toEqual([
      "order-events: as declared",
      "order-events.dlq: as declared",
    ]);
    // Three copies are declared for production, and the cluster of the tests has one.
    expect(await topics(context, "plan", { profile: "production" })).toBe(1);
    expect(context.said.join("\n")).toContain("replication factor is 1, declared 3");
  });

  test("without a cluster says so", async () => {
    const context = createTestContext({ stateRoot: folder });
    const error = await topics(context, "plan", { profile: "dev" }).catch((e: unknown) => e);
    expect(String(error)).toContain("KAFKA_BOOTSTRAP_SERVERS");
  });
});

describe("outrider check", () => {
  test("runs all checks, and ends with 1 and the words of the one that failed", async () => {
    // Stands in for Bun: every check passes but the format.
    write("bun.sh", '#!/bin/sh\n[ "$1" = fmt ] || exit 0\necho "x.ts is not formatted"\nexit 1\n');
    chmodSync(join(folder, "bun.sh"), 0o755);
    const context = createTestContext({ stateRoot: folder, bun: join(folder, "bun.sh") });
    expect(await check(context)).toBe(1);
    const said = context.said.join("\n");
    expect(said.match(/^(types|lint|tidy) +ok/gm)).toHaveLength(3);
    expect(said).toMatch(/^format +failed/m);
    expect(said).toEndWith("x.ts is not formatted");
  });
});

describe("ensurePackages", () => {
  test("installs once, and again when a manifest changes", async () => {
    for (const path of ["apps", "packages/one", "packages/two", "test"]) {
      mkdirSync(join(folder, path), { recursive: true });
    }
    const dependencies = { two: "workspace:*" };
    write("package.json", JSON.stringify({ name: "top", workspaces: ["packages/*"] }));
    write("bunfig.toml", '[install]\nlinker = "isolated"\n');
    write("packages/one/package.json", JSON.stringify({ name: "one", dependencies }));
    write("packages/two/package.json", '{"name":"two"}');
    execFileSync(process.execPath, ["install", "--lockfile-only"], {
      cwd: folder,
      stdio: "ignore",
    });
    const marker = "node_modules/.outrider-installed";
    expect(await ensurePackages(folder)).toBe(true);
    expect(read(marker)).toMatch(/^[0-9a-f]{64}\n/);
    expect(await ensurePackages(folder)).toBe(false);
    rmSync(join(folder, "packages/one/node_modules"), { recursive: true });
    expect(await ensurePackages(folder)).toBe(true);
    write("packages/two/package.json", '{"name":"two","description":"another"}');
    expect(await ensurePackages(folder)).toBe(true);
  });
});

describe("a command under a script runner", () => {
  const script = join(import.meta.dirname, "../support/stoppable.ts");

  /** As people call it; what the process says goes to a file, which outlives the runner. */
  const start = async (name: string) => {
    const scripts = { it: `${process.execPath} ${script} ${name}` };
    write("package.json", JSON.stringify({ name: "top", scripts }));
    const options = { cwd: folder, stdout: "ignore", stderr: "ignore" } as const;
    const runner = Bun.spawn([process.execPath, "run", "it"], options);
    await until(() => read(name).includes("started"), { what: "the process" });
    return runner;
  };

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`is told of ${signal}`, async () => {
      const runner = await start(signal);
      runner.kill(signal);
      await until(() => read(signal).includes(`stopped by ${signal}`), { what: "the stop" });
      await runner.exited;
    });
  }

  test("notices when the runner is killed", async () => {
    const runner = await start("SIGKILL");
    runner.kill("SIGKILL");
    await until(() => read("SIGKILL").includes("stopped by the end of"), { what: "the stop" });
  });
});
