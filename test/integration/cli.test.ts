import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import { loadSettings } from "@outrider/runtime";
import { check } from "../../apps/cli/src/check.ts";
import { ensurePackages } from "../../apps/cli/src/install.ts";
import { migrate } from "../../apps/cli/src/migrate.ts";
import { cliSettings } from "../../apps/cli/src/settings.ts";
import { topics } from "../../apps/cli/src/topics.ts";
import { createTestContext } from "../support/cli.ts";
import { testKafka } from "../support/environment.ts";
import { until } from "../support/until.ts";

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
