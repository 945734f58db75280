import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describeCluster } from "@outrider/broker";
import { isFault } from "@outrider/event";
import { describeHost, identify, isAlive, removeData, silentReport } from "@outrider/stack";
import { startChild, startStack } from "@outrider/stack";
import type { ProcessId, Report, StackOptions } from "@outrider/stack";
import postgres from "postgres";
import { testEnvironment } from "../support/environment.ts";
import { until } from "../support/until.ts";

const host = describeHost(testEnvironment());
const folders: string[] = [];
let root = "";
let said: string[] = [];

const newRoot = (): string => {
  // Under the folder that the Postgres of an ordinary user can reach, too.
  const folder = mkdtempSync(join(tmpdir(), "outrider-stack-"));
  folders.push(folder);
  return folder;
};

const report: Report = { ...silentReport, say: (line) => void said.push(line) };

const start = (more: Partial<StackOptions> = {}) =>
  startStack({
    root,
    host,
    report,
    tier: "embedded",
    settings: { ports: { postgres: 0, kafka: 0, kafkaController: 0, redis: 0 } },
    ...more,
  });

/** The processes that the ledger of `root` has, by their identity. */
const recorded = (): ProcessId[] => {
  try {
    return JSON.parse(readFileSync(join(root, ".outrider/processes.json"), "utf8"));
  } catch {
    return [];
  }
};

const ask = async (url: string, text: string) => {
  const sql = postgres(url, { max: 1 });
  try {
    return await sql.unsafe(text);
  } finally {
    await sql.end();
  }
};

beforeEach(() => {
  root = newRoot();
  said = [];
});

afterEach(() => {
  // Whatever a test did, nothing that it started is left.
  expect(recorded().filter(isAlive)).toEqual([]);
});

afterAll(async () => {
  for (const folder of folders) {
    const stateDir = join(folder, ".outrider");
    mkdirSync(stateDir, { recursive: true });
    await removeData({ stateDir, host });
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

describe("an embedded stack", () => {
  test("answers, is durable and decodable, keeps its data and leaves no process", async () => {
    const first = await start();
    const { url } = first.services.postgres;
    const settings = ["wal_level", "fsync", "data_checksums", "listen_addresses"];
    const rows = await ask(url, settings.map((name) => `show ${name}`).join(";"));
    expect(rows.flat().map((row) => Object.values(row)[0])).toEqual([
      "logical",
      "on",
      "on",
      "127.0.0.1",
    ]);
    expect((await describeCluster(first.kafka)).brokers).toHaveLength(1);
    await ask(url, "create table kept as select 7 as n");
    const clusterId = (await describeCluster(first.kafka)).id;
    const pids = recorded();
    expect(pids.map(({ pid }) => pid).sort()).toEqual(
      Object.values(first.services)
        .map(({ pid }) => pid ?? 0)
        .sort(),
    );
    const stopStartedMs = performance.now();
    await first.stop();
    expect(performance.now() - stopStartedMs).toBeLessThan(10_000);
    expect(pids.filter(isAlive)).toEqual([]);

    const second = await start();
    try {
      expect(second.services.postgres.url).toBe(url);
      const [row] = await ask(second.services.postgres.url, "select n from kept");
      expect(row?.n).toBe(7);
      expect((await describeCluster(second.kafka)).id).toBe(clusterId);
    } finally {
      await second.stop();
    }
  }, 120_000);

  test("with fresh begins without the data of the run before", async () => {
    const first = await start();
    await ask(first.services.postgres.url, "create table kept (n int)");
    await first.stop();
    const second = await start({ fresh: true });
    try {
      const [row] = await ask(second.services.postgres.url, "select to_regclass('kept') as kept");
      expect(row?.kept).toBeNull();
    } finally {
      await second.stop();
    }
  }, 120_000);

  test("lets nobody in without its password, which only its owner can read", async () => {
    const stack = await start();
    try {
      const url = new URL(stack.services.postgres.url);
      expect(url.password).not.toBe("");
      url.password = "wrong";
      await expect(ask(url.href, "select 1")).rejects.toMatchObject({ code: "28P01" });
      const data = realpathSync(join(root, ".outrider/postgres"));
      const mode = statSync(join(dirname(data), "postgres.password")).mode & 0o777;
      expect(mode.toString(8)).toBe("600");
    } finally {
      await stack.stop();
    }
  }, 120_000);

  test("refuses a second one in the same folder", async () => {
    const first = await start();
    try {
      const error = await start().catch((caught: unknown) => caught);
      expect(isFault(error, "already_running")).toBe(true);
      expect(String(error)).toContain(`pid ${process.pid}`);
    } finally {
      await first.stop();
    }
  }, 120_000);

  // 0: before anything; 300: Postgres is being made; 900: Kafka's JVM comes up.
  for (const afterMs of [0, 300, 900]) {
    test(`aborted after ${afterMs} ms leaves nothing, and the next start works`, async () => {
      const controller = new AbortController();
      const starting = start({ signal: controller.signal });
      // The moment is the point here: it hits another step on each machine.
      setTimeout(() => controller.abort(new Error("enough")), afterMs);
      await expect(starting).rejects.toThrow("enough");
      expect(recorded()).toEqual([]);
      await (await start()).stop();
    }, 120_000);
  }

  test("stops what a run that was killed has left behind, and says so", async () => {
    const script = join(import.meta.dirname, "../support/stack-under-test.ts");
    const child = Bun.spawn([process.execPath, script, root], { stdout: "pipe" });
    const reader = child.stdout.getReader();
    await reader.read();
    const left = recorded();
    expect(left).toHaveLength(3);
    child.kill("SIGKILL");
    await child.exited;
    expect(left.every(isAlive)).toBe(true);

    const stack = await start();
    try {
      expect(left.filter(isAlive)).toEqual([]);
      expect(said.join("\n")).toContain("left behind by a run that was killed");
    } finally {
      await stack.stop();
    }
  }, 120_000);

  test("says when a service has ended; a Postgres waits for its last sessions", async () => {
    const stack = await start();
    const { url, pid = 0 } = stack.services.postgres;
    const session = postgres(url, { max: 1, onclose: () => {} });
    const [backend] = await session`select pg_backend_pid() as pid`;
    // It does not notice that its server is gone.
    process.kill(backend?.pid, "SIGSTOP");
    process.kill(pid, "SIGKILL");
    expect((await stack.died).name).toBe("postgres");
    await stack.stop();
    const log = join(root, ".outrider/logs/postgres.log");
    const starting = start();
    const isRefused = () => readFileSync(log, "utf8").includes("shared memory block");
    await until(isRefused, { what: "a start beside the session" });
    process.kill(backend?.pid, "SIGCONT");
    const second = await starting;
    await Promise.all([second.stop(), session.end({ timeout: 0 })]);
  }, 120_000);

  test("uses given services as they are, and stops none of them", async () => {
    const owner = await start();
    const { services, kafka } = owner;
    root = newRoot();
    said = [];
    try {
      const settings = {
        databaseUrl: services.postgres.url,
        kafka,
        redisUrl: services.redis.url,
      };
      const guest = await start({ settings });
      expect(guest.services.postgres).toEqual({ url: services.postgres.url });
      expect(guest.services.redis).toEqual({ url: services.redis.url });
      expect(said.join("\n")).not.toContain(new URL(services.postgres.url).password);
      await guest.stop();
      await ask(services.postgres.url, "select 1");
    } finally {
      await owner.stop();
    }
  }, 120_000);
});

describe("a child process", () => {
  test("that does not listen is killed at the deadline", async () => {
    const logFile = join(root, "stubborn.log");
    const child = await startChild({
      name: "stubborn",
      command: "/bin/sh",
      args: ["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
      cwd: root,
      env: host.env,
      logFile,
    });
    await until(() => readFileSync(logFile, "utf8").includes("deaf"), { what: "the trap" });
    const id = identify(child.pid);
    const startedMs = performance.now();
    await child.stop(300);
    expect(performance.now() - startedMs).toBeWithin(250, 5_000);
    expect(id && isAlive(id)).toBe(false);
  });

  test("whose command does not exist is a sentence, not a crash", async () => {
    const spec = { name: "nothing", args: [], cwd: root, env: host.env };
    const starting = startChild({ ...spec, command: "/no/such", logFile: join(root, "no.log") });
    const error = await starting.catch((caught: unknown) => caught);
    expect(isFault(error, "missing_tool")).toBe(true);
  });
});
