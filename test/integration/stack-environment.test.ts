/** The stack on machines that are not made for it: odd paths, hostile variables, closed folders. */

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import { commandOf, describeHost, identify, isAlive, silentReport } from "@outrider/stack";
import { startChild, startStack } from "@outrider/stack";
import type { Report, StackOptions } from "@outrider/stack";
import { removeAbandoned } from "../../packages/stack/src/root-data.ts";
import { openState } from "../../packages/stack/src/state.ts";
import { testEnvironment, testKafka, testRedisUrl } from "../support/environment.ts";
import { hostileVariables } from "../support/hostile-variables.ts";
import { until } from "../support/until.ts";

const real = describeHost(testEnvironment());
const top = mkdtempSync(join(tmpdir(), "outrider-environment-"));
afterAll(() => rmSync(top, { recursive: true, force: true }));

const start = (more: Partial<StackOptions> & { root: string }) =>
  startStack({
    ...{ host: real, report: silentReport, tier: "embedded" },
    settings: { ports: { postgres: 0, kafka: 0, redis: 0 } },
    ...more,
  });

const caught = (work: Promise<unknown>) => work.catch((error: unknown) => error);
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test("a stack comes up on an odd path, under hostile variables, for its owner alone", async () => {
  const beside = join(top, "beside");
  const root = join(beside, "wörk, späce #1 %20 ☂");
  mkdirSync(root, { recursive: true });
  const said: string[] = [];
  const report: Report = { ...silentReport, say: (line) => void said.push(line) };
  const host = { ...real, env: { ...real.env, ...hostileVariables } };
  const stack = await start({ root, host, report });
  try {
    // Kafka takes what follows a comma for another folder.
    expect(readdirSync(beside)).toHaveLength(1);
    expect(readdirSync(root)).toEqual([".outrider"]);
    const state = stack.stateDir;
    expect(existsSync(join(state, "kafka/log/meta.properties"))).toBe(true);
    expect([modeOf(state), modeOf(join(state, "logs"))]).toEqual(["700", "700"]);
    const logs = readdirSync(join(state, "logs")).map((name) => modeOf(join(state, "logs", name)));
    expect(logs).toEqual(["600", "600", "600"]);

    const { url, pid = 0 } = stack.services.redis;
    const { port, password } = new URL(url);
    expect(password.length).toBeGreaterThan(16);
    const stranger = new Bun.RedisClient(`redis://127.0.0.1:${port}`, { autoReconnect: false });
    expect(String(await caught(stranger.set("a", "b")))).toContain("NOAUTH");
    stranger.close();
    const seen = [commandOf(pid), ...said, readFileSync(join(state, "logs/redis.log"), "utf8")];
    expect(seen.join("\n")).not.toContain(password);
    expect(modeOf(join(state, "redis.password"))).toBe("600");
    expect(modeOf(join(state, "redis/secrets.conf"))).toBe("600");
  } finally {
    await stack.discard();
  }
}, 120_000);

describe("a folder that cannot be used is a sentence", () => {
  const given = {
    databaseUrl: testEnvironment().DATABASE_URL ?? "",
    redisUrl: testRedisUrl(),
    kafka: testKafka(),
  };

  test("when the checkout cannot be written", async () => {
    const root = join(top, "a-file");
    writeFileSync(root, "");
    const error = await caught(start({ root, settings: given }));
    expect(isFault(error, "forbidden")).toBe(true);
    expect(String(error)).toContain(`${root}/.outrider cannot be written (ENOTDIR); start it in`);
  });

  test("when what was started before belongs to another user, root included", async () => {
    const root = join(top, "another");
    mkdirSync(join(root, ".outrider"), { recursive: true });
    const host = { ...real, uid: 4_242 };
    const error = await caught(start({ root, host, settings: given }));
    expect(isFault(error, "forbidden")).toBe(true);
    expect(String(error)).toMatch(/belongs to the user with the number \d+, and you are 4242/);
  });

  test("when nothing can be kept in the user's cache", async () => {
    const root = join(top, "no-cache");
    mkdirSync(root);
    const host = { ...real, cacheDir: join(top, "a-file/cache") };
    const settings = { ...given, kafka: undefined };
    const error = await caught(start({ root, host, settings }));
    expect(isFault(error, "forbidden")).toBe(true);
    expect(String(error)).toContain("XDG_CACHE_HOME");
  });
});

test("what a killed run has left is stopped in order: the apps first, then services", async () => {
  const root = join(top, "left");
  const order = join(root, "order");
  mkdirSync(root);
  const state = await openState(root, { host: real, report: silentReport });
  const left = [];
  // The app takes its time, the service would be gone at once.
  for (const [name, seconds] of Object.entries({ kafka: 0, relay: 0.3 })) {
    const onTerm = `sleep ${seconds}; echo ${name} >> ${order}; exit`;
    const script = `trap '${onTerm}' TERM; echo up; while :; do sleep 0.05; done`;
    const logFile = join(root, `${name}.log`);
    const child = await startChild({
      ...{ name, command: "/bin/sh", args: ["-c", script], cwd: root, env: real.env, logFile },
    });
    state.track(child);
    left.push(identify(child.pid));
    await until(() => child.log().includes("up"), { what: "the trap" });
  }
  state.release();
  const next = await openState(root, { host: real, report: silentReport });
  next.release();
  expect(left.some((one) => one && isAlive(one))).toBe(false);
  expect(readFileSync(order, "utf8")).toBe("relay\nkafka\n");
});

test("root's database goes when its checkout is gone, and only then", async () => {
  const system = join(top, "system");
  const { dev: device } = statSync(top);
  const gone = join(top, "a-checkout-that-was-here/once");
  const put = (name: string, mark?: object, pid?: number) => {
    mkdirSync(join(system, name, "postgres"), { recursive: true });
    if (mark) writeFileSync(join(system, name, "checkout.json"), JSON.stringify(mark));
    if (pid) writeFileSync(join(system, name, "postgres/postmaster.pid"), `${pid}\n/data\n`);
  };
  put("abandoned", { checkout: gone, device }, 99_999_999);
  put("used", { checkout: top, device });
  put("running", { checkout: gone, device }, process.pid);
  put("on-a-disk-that-is-away", { checkout: gone, device: device + 1 });
  put("not-ours");
  put("gone-half-removed");
  expect(await removeAbandoned(system)).toEqual([gone]);
  const kept = ["not-ours", "on-a-disk-that-is-away", "running", "used"];
  expect(readdirSync(system).toSorted()).toEqual(kept);
});
