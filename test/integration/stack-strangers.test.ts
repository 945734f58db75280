/** Ports that another process takes meanwhile, and servers that are not those that were started. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeCluster } from "@outrider/broker";
import { isFault } from "@outrider/event";
import { choosePort, describeHost, silentReport, startStack } from "@outrider/stack";
import type { Report, Stack } from "@outrider/stack";
import { waitForKafka } from "../../packages/stack/src/kafka-ready.ts";
import { clusterNameOf, waitForPostgres } from "../../packages/stack/src/postgres-ready.ts";
import { waitForRedis } from "../../packages/stack/src/redis-ready.ts";
import { testEnvironment, testKafka, testRedisUrl } from "../support/environment.ts";

const host = describeHost(testEnvironment());
const databaseUrl = testEnvironment().DATABASE_URL ?? "";
const strangers: Bun.TCPSocketListener<Socket | undefined>[] = [];
const stacks: Promise<Stack>[] = [];
const folders: string[] = [];

afterAll(async () => {
  for (const one of await Promise.allSettled(stacks)) {
    if (one.status === "fulfilled") await one.value.discard();
  }
  for (const stranger of strangers) stranger.stop(true);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** Listens at once, before anything else can happen, and passes all on to a server of the tests. */
const squat = (port: number, address: string): void => {
  const [hostname = "", to] = address.split(":");
  strangers.push(
    Bun.listen<Socket | undefined>({
      ...{ hostname: "127.0.0.1", port },
      socket: {
        open: (near) => {
          near.data = connect(Number(to), hostname);
          near.data.on("data", (chunk) => void near.write(chunk));
          near.data.on("error", () => near.end());
        },
        data: (near, chunk) => void near.data?.write(chunk),
        close: (near) => void near.data?.destroy(),
        error: () => {},
      },
    }),
  );
};

/** Answers that all is well, whatever it is told. */
const squatAsRedis = (port: number): void => {
  const answer = (command: string) =>
    /INFO/.test(command) ? "+OK\r\n$14\r\nprocess_id:1\r\n\r\n" : "+OK\r\n+PONG\r\n";
  strangers.push(
    Bun.listen<Socket | undefined>({
      ...{ hostname: "127.0.0.1", port },
      socket: { data: (near, chunk) => void near.write(answer(chunk.toString())) },
    }),
  );
};

const taken: number[] = [];

/** Takes each port after it was found free, in the moment before its server is started. */
const squattingReport = (folder: string, said: string[]): Report => {
  const done = new Set<string>();
  const take = (name: string) => {
    if (done.has(name)) return;
    done.add(name);
    const ports = JSON.parse(readFileSync(join(folder, ".outrider/ports.json"), "utf8"));
    const port = ports[name] as number;
    taken.push(port);
    if (name === "redis") squatAsRedis(port);
    else squat(port, name === "kafka" ? testKafka().bootstrapServers : new URL(databaseUrl).host);
  };
  return {
    say: (line) => void said.push(line),
    step: (name) => ({ note: (text) => text === "starting" && take(name), end: () => {} }),
  };
};

const portsOf = ({ services }: Stack) =>
  Object.values(services).map(({ url }) => Number(url.split(":").at(-1)?.split("/")[0]));

test("two that start at once on ports that strangers take have services of their own", async () => {
  const ports = {
    postgres: await choosePort([0]),
    kafka: await choosePort([0]),
    redis: await choosePort([0]),
  };
  const said: string[] = [];
  const begin = (prefix: string, reportIn: (folder: string) => Report) => {
    const root = mkdtempSync(join(tmpdir(), prefix));
    folders.push(root);
    const options = { root, host, report: reportIn(root), tier: "embedded" } as const;
    const stack = startStack({ ...options, settings: { ports } });
    stacks.push(stack);
    return stack;
  };
  const both = await Promise.all([
    begin("outrider-calm-", () => silentReport),
    begin("outrider-squatted-", (folder) => squattingReport(folder, said)),
  ]);
  expect(taken).toHaveLength(3);
  const used = both.flatMap(portsOf);
  expect(new Set([...used, ...taken]).size).toBe(9);
  for (const name of ["postgres", "kafka", "redis"]) {
    expect(said.join("\n")).toMatch(new RegExp(`^${name}\\s+Port \\d+ of ${name} was taken`, "m"));
  }
  const known = [testKafka(), ...both.map(({ kafka }) => kafka)];
  const clusters = await Promise.all(known.map(async (one) => (await describeCluster(one)).id));
  expect(new Set(clusters).size).toBe(3);
  const urls = [databaseUrl, ...both.map(({ services }) => services.postgres.url)];
  expect(new Set(await Promise.all(urls.map(clusterNameOf))).size).toBe(3);
}, 120_000);

describe("a server that answers well, and was not started by this start, is not ready", () => {
  const wait = { timeoutMs: 100 };
  const waits = {
    Postgres: () => waitForPostgres(databaseUrl, { ...wait, clusterName: "ours" }),
    Kafka: () => waitForKafka(testKafka(), { ...wait, rack: "ours" }),
    Redis: () => waitForRedis(testRedisUrl(), { ...wait, processId: process.pid }),
  };
  for (const [name, ready] of Object.entries(waits)) {
    test(name, async () => {
      const error = await ready().catch((caught: unknown) => caught);
      expect(isFault(error, "timeout")).toBe(true);
    });
  }
});
