import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { isFault } from "@outrider/event";
import { choosePort, describeHost, isPortTaken, silentReport } from "@outrider/stack";
import { startRedis, startStack } from "@outrider/stack";
import type { Child, EmbeddedJob, Host, StackOptions, StackSettings } from "@outrider/stack";
import { RedisClient } from "bun";
import { waitForRedis } from "../../packages/stack/src/redis-ready.ts";
import { testEnvironment, testKafka } from "../support/environment.ts";

const real = describeHost(testEnvironment());
const folders: string[] = [];
const children: Child[] = [];
const servers: Server[] = [];
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-redis-"));
  folders.push(folder);
  for (const name of ["bin", ".outrider"]) mkdirSync(join(folder, name));
});

afterAll(async () => {
  await Promise.all(children.map((child) => child.stop(2_000)));
  for (const server of servers) server.close();
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

/** This machine, with these stand-ins first on its PATH. */
const hostWith = (programs: Readonly<Record<string, string>>): Host => {
  for (const [name, script] of Object.entries(programs)) {
    const path = join(folder, "bin", name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
  }
  const PATH = [join(folder, "bin"), real.env.PATH].join(delimiter);
  return { ...real, env: { ...real.env, PATH } };
};

/** A machine whose Valkey and Redis say this is their version. */
const hostThatHas = (version: string): Host =>
  hostWith({ "valkey-server": `echo "${version}"`, "redis-server": `echo "${version}"` });

const jobOn = (host: Host): EmbeddedJob => ({
  host,
  report: silentReport,
  stateDir: join(folder, ".outrider"),
  onStart: (child) => void children.push(child),
});

const withClient = async <T>(url: string, use: (client: RedisClient) => Promise<T>): Promise<T> => {
  const client = new RedisClient(url);
  try {
    return await use(client);
  } finally {
    client.close();
  }
};

/** Only Redis has to be found: the others are those of the tests. */
const startWith = (settings: StackSettings, more: Partial<StackOptions> = {}) =>
  startStack({
    root: folder,
    host: real,
    report: silentReport,
    tier: "embedded",
    settings: {
      databaseUrl: testEnvironment().DATABASE_URL ?? "",
      kafka: testKafka(),
      ...settings,
    },
    ...more,
  });

const caught = (work: Promise<unknown>) => work.catch((error: unknown) => error);

/** Something else that listens, and says this to whatever it is told. */
const listen = (answer: string): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => void socket.end(answer));
    });
    servers.push(server);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });

describe("the embedded Redis of the jars", () => {
  const tooOld = "Redis server v=6.0.16 sha=0";

  test("answers, loses nothing it is asked to keep, and finds it after a stop", async () => {
    const job = jobOn(hostThatHas(tooOld));
    const port = await choosePort([0]);
    const first = await startRedis(job, port);
    expect(first.edition).toMatch(/^embedded redis 6\.2\.\d+$/);
    expect(new URL(first.url).host).toBe(`127.0.0.1:${port}`);
    const names = ["appendonly", "appendfsync", "maxmemory-policy", "save", "bind"];
    await withClient(first.url, async (client) => {
      expect(await client.ping()).toBe("PONG");
      const settings = names.map((name) => client.send("CONFIG", ["GET", name]));
      expect((await Promise.all(settings)).map((one) => Object.entries(one).flat().at(-1))).toEqual(
        ["yes", "everysec", "noeviction", "", "127.0.0.1"],
      );
      await client.set("kept", "7");
    });
    await first.stop(5_000);

    const second = await startRedis(job, port);
    expect(await withClient(second.url, (client) => client.get("kept"))).toBe("7");
    await second.stop(5_000);
  }, 120_000);

  test("that was killed comes back on its port with what it had answered", async () => {
    const job = jobOn(hostThatHas(tooOld));
    const port = await choosePort([0]);
    const first = await startRedis(job, port);
    await withClient(first.url, (client) => client.set("kept", "8"));
    process.kill(first.pid ?? 0, "SIGKILL");
    await first.exited;

    const second = await startRedis(job, port);
    expect(await withClient(second.url, (client) => client.get("kept"))).toBe("8");
    await second.stop(5_000);
  }, 120_000);

  test("that cannot have its port says so", async () => {
    const port = await listen("");
    const error = await caught(startRedis(jobOn(hostThatHas(tooOld)), port));
    expect(isPortTaken(error)).toBe(true);
    expect(String(error)).toContain(`Port ${port} of redis was taken by another process`);
  }, 60_000);

  test("is not on every platform: a sentence says what to install", async () => {
    const host = { ...hostThatHas(tooOld), arch: "riscv64", isDebian: true, isRoot: true };
    const error = await caught(startRedis(jobOn(host), 0));
    expect(isFault(error, "missing_tool")).toBe(true);
    expect(String(error)).toContain("apt-get install -y redis-server");
  });
});

test("a Redis on PATH that is new enough comes before that of the jars", async () => {
  const host = hostThatHas("Valkey server v=8.1.2 sha=0");
  const error = await caught(startRedis(jobOn(host), await choosePort([0])));
  // The stand-in says its version again and ends, where a server would stay.
  expect(String(error)).toContain("Valkey server v=8.1.2");
});

describe("a stack", () => {
  test("whose port for Redis is taken takes another, and throws its data away", async () => {
    const taken = await listen("");
    const stack = await startWith({ ports: { redis: taken } });
    try {
      const { url, pid } = stack.services.redis;
      expect(url).not.toContain(`:${taken}`);
      expect(await withClient(url, (client) => client.ping())).toBe("PONG");
      process.kill(pid ?? 0, "SIGKILL");
      expect((await stack.died).name).toBe("redis");
    } finally {
      await stack.discard();
    }
    expect(await Array.fromAsync(new Bun.Glob("**/*.aof").scan(stack.stateDir))).toEqual([]);
  }, 120_000);
});

test("where Docker runs, Redis is had from compose.yaml", async () => {
  const [log, proxied] = [join(folder, "docker.log"), join(folder, "proxy")];
  const proxy = join(import.meta.dirname, "../support/tcp-proxy.ts");
  const container = `127.0.0.1:${await listen("+PONG\r\n")}`;
  const up = `${process.execPath} ${proxy} "$OUTRIDER_REDIS_PORT" ${container}`;
  const docker = `case "$1" in info) echo v28.0.0; exit 0;; esac
[ "$2" = version ] && { echo v2; exit 0; }
echo "$OUTRIDER_REDIS_PORT $*" >> ${log}
case "$*" in *" up "*) ${up} > ${proxied} 2>&1 &;; esac`;
  const host = hostWith({ docker });
  const stack = await startWith({ ports: { redis: 0 } }, { host, tier: "docker" });
  try {
    const { url, pid } = stack.services.redis;
    expect(pid).toBeUndefined();
    await stack.stop();
    const [started, stopped] = readFileSync(log, "utf8").trim().split("\n");
    expect(started).toStartWith(`${new URL(url).port} compose -f `);
    expect(started).toEndWith(" up -d redis");
    expect(stopped).toMatch(/ stop -t \d+ redis$/);
  } finally {
    process.kill(Number(readFileSync(proxied, "utf8")));
  }
}, 60_000);

describe("a given REDIS_URL", () => {
  const given = async (redisUrl: string) => caught(startWith({ redisUrl }));

  test("that is none is a sentence that says what one looks like", async () => {
    for (const url of ["", "garbage", "http://localhost:6379"]) {
      const error = await given(url);
      expect(isFault(error, "settings_invalid")).toBe(true);
      expect(String(error)).toContain("redis://user:password@host:6379/0");
    }
  });

  test("at which something else answers is a sentence", async () => {
    const port = await listen("HTTP/1.1 400 Bad Request\r\n\r\n");
    const error = await given(`redis://127.0.0.1:${port}`);
    expect(isFault(error, "unavailable")).toBe(true);
    expect(String(error)).toContain("not Redis");
  });

  test("at which nobody answers says so at the deadline, and why", async () => {
    const url = `redis://127.0.0.1:${await choosePort([0])}`;
    const error = await caught(waitForRedis(url, { timeoutMs: 100 }));
    expect(isFault(error, "timeout")).toBe(true);
    expect(String(error)).toMatch(/for Redis to answer, in vain\. The last try: .+/);
  });

  test("is used with its password, and told apart from a wrong one", async () => {
    const redis = await startRedis(jobOn(real), await choosePort([0]));
    const url = (password: string) => {
      const one = new URL(redis.url);
      one.password = password;
      return one.href;
    };
    await withClient(redis.url, async (client) => {
      await client.send("CONFIG", ["SET", "requirepass", "s3cret/+"]);
      folder = mkdtempSync(join(tmpdir(), "outrider-redis-"));
      folders.push(folder);
      const stack = await startWith({ redisUrl: url("s3cret%2F%2B") });
      expect(stack.services.redis).toEqual({ url: url("s3cret%2F%2B") });
      await stack.stop();
      for (const refused of [url("wrong"), url("")]) {
        const error = await given(refused);
        expect(isFault(error, "forbidden")).toBe(true);
      }
      // Not ours to stop.
      expect(await client.ping()).toBe("PONG");
    });
    await redis.stop(5_000);
  }, 60_000);
});
