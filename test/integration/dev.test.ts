import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describeCluster } from "@outrider/broker";
import { isFault } from "@outrider/event";
import { identify, isAlive, readStackFile, removeData } from "@outrider/stack";
import type { ProcessId, Running, StackFile } from "@outrider/stack";
import { dev } from "../../apps/cli/src/dev.ts";
import { createTestContext } from "../support/cli.ts";
import type { TestContext } from "../support/cli.ts";
import { hostileVariables } from "../support/hostile-variables.ts";
import { someOrder } from "../support/shop.ts";
import { until } from "../support/until.ts";

const contexts: TestContext[] = [];
const runs: Promise<number>[] = [];
const stateDir = (context: TestContext) => join(context.stateRoot, ".outrider");

const newContext = (): TestContext => {
  const context = createTestContext();
  contexts.push(context);
  return context;
};

const startDev = (context: TestContext, fresh = false): Promise<number> => {
  const running = dev(context, { fresh });
  runs.push(running);
  return running;
};

const recorded = (context: TestContext): ProcessId[] => {
  try {
    return JSON.parse(readFileSync(join(stateDir(context), "processes.json"), "utf8"));
  } catch {
    return [];
  }
};

const isReady = async (app: Running | undefined): Promise<boolean> => {
  const answer = await fetch(`${app?.url}/readyz`).catch(() => undefined);
  return answer?.ok ?? false;
};

afterAll(async () => {
  // Also after a test that failed half-way.
  for (const context of contexts) context.abort("the end of the test");
  await Promise.allSettled(runs);
  for (const context of contexts) {
    mkdirSync(stateDir(context), { recursive: true });
    await removeData({ stateDir: stateDir(context), host: context.host });
    rmSync(context.stateRoot, { recursive: true, force: true });
  }
}, 60_000);

/** Of somebody who has set much for other programs. */
const hostileContext = (): TestContext => {
  const context = newContext();
  const host = { ...context.host, env: { ...context.host.env, ...hostileVariables } };
  return Object.assign(context, { host });
};

const up = async (context: TestContext, running: Promise<number>): Promise<StackFile> => {
  const upToNow = () => Promise.race([running, readStackFile(stateDir(context))]);
  const found = await until(upToNow, { what: "stack.json", timeoutMs: 90_000, pollMs: 50 });
  if (typeof found === "number") throw new Error(`dev has ended:\n${context.said.join("\n")}`);
  return found;
};

/** Two that started at the same moment share nothing. */
const expectApart = async (...stacks: readonly StackFile[]): Promise<void> => {
  const all = stacks.flatMap(({ services, apps }) => [
    ...Object.values(services),
    ...Object.values(apps),
  ]);
  expect(new Set(all.map(({ url }) => url)).size).toBe(16);
  const clusters = stacks.map(async ({ services }) => {
    const cluster = await describeCluster({ bootstrapServers: services.kafka?.url ?? "" });
    return cluster.id;
  });
  expect(new Set(await Promise.all(clusters)).size).toBe(2);
};

/** The apps say in their logs what they run with. */
const expectOnLoopback = (context: TestContext): void => {
  for (const name of ["shop", "relay", "ops", "shop-worker"]) {
    const log = readFileSync(join(stateDir(context), "logs", `${name}.log`), "utf8");
    expect(log).toContain('"HOST":"127.0.0.1"');
  }
};

describe("outrider dev", () => {
  test("starts everything beside another one, restarts what dies, stops within 10 s", async () => {
    const [context, neighbour] = [newContext(), hostileContext()];
    const [running, neighbours] = [startDev(context), startDev(neighbour, true)];
    const [first, second] = await Promise.all([up(context, running), up(neighbour, neighbours)]);
    await expectApart(first, second);
    expectOnLoopback(neighbour);

    // Only what it started has a pid, and all of it was started here.
    expect(Object.keys(first.services).toSorted()).toEqual(["kafka", "postgres", "redis"]);
    expect(Object.keys(first.apps).toSorted()).toEqual([
      ...["ops", "outside", "relay", "shop", "shop-worker"],
    ]);
    const processes = [...Object.values(first.services), ...Object.values(first.apps)];
    expect(processes.map(({ pid }) => typeof pid)).toEqual(Array(8).fill("number"));
    for (const app of Object.values(first.apps)) expect(await isReady(app)).toBe(true);

    const { url = "", key = "" } = first.apps.ops ?? {};
    const handlers = await fetch(`${url}/v1/handlers`, {
      headers: { authorization: `Bearer ${key}` },
    });
    expect(handlers.status).toBe(200);
    expect(await handlers.text()).toContain("shop.order-summary");

    const shop = first.apps.shop?.url ?? "";
    const said = context.said.join("\n");
    expect(said).toContain(`curl -i ${shop}/v1/orders`);
    expect(said).toContain(join(stateDir(context), "logs"));
    const answer = await fetch(`${shop}/v1/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(someOrder),
    });
    expect(answer.status).toBe(201);
    const { id } = (await answer.json()) as { id: string };
    const summary = async () => (await fetch(`${shop}/v1/order-summaries/${id}`)).ok;
    await until(summary, { what: "the summary of an order", timeoutMs: 20_000 });

    const other = { ...context, signal: new AbortController().signal };
    const refused = await dev(other, { fresh: false }).catch((error: unknown) => error);
    expect(isFault(refused, "already_running")).toBe(true);
    expect(String(refused)).toContain(shop);

    const oldPid = first.apps.relay?.pid ?? 0;
    process.kill(oldPid, "SIGKILL");
    const restarted = async () => {
      const relay = readStackFile(stateDir(context))?.apps.relay;
      return relay?.pid !== oldPid && (await isReady(relay));
    };
    await until(restarted, { what: "a new relay", timeoutMs: 20_000, pollMs: 50 });
    expect(context.said.join("\n")).toContain("relay was killed by a signal");

    const ids = recorded(context);
    expect(ids.filter(isAlive)).toHaveLength(8);
    const stopStartedMs = performance.now();
    context.abort("enough");
    expect(await running).toBe(0);
    expect(performance.now() - stopStartedMs).toBeLessThan(10_000);
    expect(ids.filter(isAlive)).toEqual([]);
    expect(readStackFile(stateDir(context))).toBeUndefined();

    // A service that has ended by itself ends the rest, with exit code 1.
    const theirs = recorded(neighbour);
    process.kill(second.services.kafka?.pid ?? 0, "SIGKILL");
    expect(await neighbours).toBe(1);
    expect(neighbour.said.join("\n")).toContain("kafka has ended by itself");
    expect(theirs.filter(isAlive)).toEqual([]);
  }, 240_000);

  test("told to stop while its apps start leaves nothing behind", async () => {
    const context = newContext();
    const running = startDev(context);
    // Three services and the first app: the start is half done.
    const appStarts = () => recorded(context).length > 3;
    await until(appStarts, { what: "an app to start", timeoutMs: 90_000 });
    const ids = recorded(context);
    context.abort("enough");
    expect(await running).toBe(0);
    expect([...ids, ...recorded(context)].filter(isAlive)).toEqual([]);
    expect(identify(process.pid)).toBeDefined();
  }, 180_000);
});
