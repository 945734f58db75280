/**
 * An order's event that was parked, buried, redriven and handled, seen by an operator on another
 * machine: through the operations API of a real process, under a key, with the command.
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import type { EventLife, EventList, HandlerLag, ParkedKey } from "@outrider/operations";
import type { LetterSummary } from "@outrider/redrive";
import { checkMetricNames } from "../checker/check-metric-names.ts";
import { testKafka } from "../support/environment.ts";
import { runOutrider } from "../support/outrider.ts";
import { testWithTool } from "../support/tool.ts";
import { until } from "../support/until.ts";
import type { App } from "./processes.ts";
import { failReceipts, placeOrder, startStage } from "./stage.ts";
import type { Stage } from "./stage.ts";

let stage: Stage;
let ops: App;
let key: string;

beforeAll(async () => {
  stage = await startStage();
  ops = await stage.start("ops", "bun", "apps/ops/src/http.ts");
  const local = { databaseUrl: stage.databaseUrl, kafka: testKafka() };
  const scopes = ["events:read", "parked:write", "dead-letters:redrive"];
  const made = await runOutrider(local, ["keys", "create", "ann", "--scope", ...scopes]);
  key = made.stdout.trim();
}, 60_000);

afterAll(async () => {
  await stage?.stop();
}, 30_000);

/** The command on a machine without a database. */
const outrider = (...args: string[]) => runOutrider({ url: ops.url, key }, args);

const answer = async <T>(...args: string[]): Promise<T> =>
  JSON.parse((await outrider(...args, "--json")).stdout) as T;

type Items<T> = Readonly<{ items: T[] }>;

const receipt = "shop.receipt";

test("an event that was parked, buried, redriven and handled is told as a story", async () => {
  // A redirect that is followed would end at a page that answers 200.
  await failReceipts(stage, { status: 302, count: 100 });
  const order = await placeOrder(stage, "eve");
  const parked = async () => {
    const { items } = await answer<Items<ParkedKey>>("parked", "list", "--handler", receipt);
    return items.find((one) => one.key === order && one.first.attempts >= 2);
  };
  const head = await until(parked, { what: "two failures", timeoutMs: 20_000, pollMs: 20 });
  const event = head.first.eventId;
  await outrider("parked", "postpone", String(head.id), "--until", "1h");
  const waiting = await answer<EventLife>("event", event);
  expect(waiting.story.at(-1)).toMatchObject({
    handler: receipt,
    text: expect.stringContaining("is tried again at"),
  });
  await failReceipts(stage, { status: 422, count: 1 });
  expect((await outrider("parked", "run", String(head.id))).code).toBe(0);
  const buried = async () => {
    const { items } = await answer<Items<LetterSummary>>("dead", "list", "--event", event);
    return items[0];
  };
  const letter = await until(buried, { what: "the letter", timeoutMs: 20_000, pollMs: 20 });
  // A human is needed.
  expect((await outrider("event", event)).code).toBe(3);
  const start = ["redrive", "start", String(letter.id), "--reason", "they are back"];
  expect(await answer<object>(...start)).toMatchObject({ redriven: 1 });
  const isHandled = async () => {
    const life = await answer<EventLife>("event", event);
    return life.inbox.every((one) => one.state === "handled") ? life : undefined;
  };
  const life = await until(isHandled, { what: "the receipt", timeoutMs: 20_000, pollMs: 50 });
  expect(life).toMatchObject({
    ...{ id: event, type: "order.order.created", topic: "order-events", key: order },
    ...{ recordState: "found", parked: [], expected: [] },
    letters: [{ id: letter.id, state: "redriven" }],
  });
  const ofReceipt = life.story.filter((one) => one.handler === receipt);
  const told = ofReceipt.map((one) => one.what as string).filter((what) => what !== "ended");
  expect(told.join(" ")).toMatch(
    /^failed failed (failed )*decided decided failed buried redriven handled$/,
  );
  expect(ofReceipt.find((one) => one.what === "redriven")?.text).toContain("by ann, redrive 1");
  const page = await outrider("event", event);
  expect(page.code).toBe(0);
  const lines = page.stdout.trimEnd().split("\n");
  expect(lines.length).toBeLessThan(40);
  expect(lines.at(-1)).toMatch(/^20.*Z +shop\.receipt +handled, its effects committed$/);
}, 90_000);

test("handlers, workers, timers and the outbox are seen from afar", async () => {
  const { items } = await answer<Items<HandlerLag>>("handlers");
  expect(items.map((one) => [one.name, one.workers, one.lag])).toEqual([
    ...[
      ["shop.order-stats", 1, 0],
      ["shop.order-summary", 1, 0],
      [receipt, 1, 0],
    ],
  ]);
  expect((await outrider("workers")).stdout).toMatch(/alive .* shop\.receipt /);
  await failReceipts(stage, { status: 503, count: 20 });
  const order = await placeOrder(stage, "bob");
  type Queues = Items<{ jobs: { parked: { key: string } | null; disagreement: string | null }[] }>;
  const timed = async () => {
    const queues = await answer<Queues>("retry-queue");
    const jobs = queues.items.flatMap((one) => one.jobs);
    return jobs.find((job) => job.parked?.key === order && job.disagreement === null);
  };
  await until(timed, { what: "its timer beside its key", timeoutMs: 20_000, pollMs: 10 });
  expect((await outrider("retry-queue")).stdout).toMatch(/^shop: /);
  expect(await answer("relay", "status")).toMatchObject({ findings: [] });
  await failReceipts(stage, { status: 503, count: 0 });
}, 60_000);

test("who has an order's id finds its events; a request, a type and a time do, too", async () => {
  const order = await placeOrder(stage, "dora");
  const isHandled = async () => {
    const { items } = await answer<EventList>("events", "--key", order);
    return items[0]?.outcomes.length === 3 && items;
  };
  const items = await until(isHandled, { what: "three outcomes", timeoutMs: 20_000 });
  const [event] = items;
  expect(items).toMatchObject([
    { key: order, type: "order.order.created", state: "published", topic: "order-events" },
  ]);
  const found = await outrider("event", order);
  expect(found.code).toBe(0);
  expect(found.stdout).toMatch(new RegExp(`${event?.id} +order\\.order\\.created .*${order}`));
  const idsOf = async (...filter: string[]) =>
    (await answer<EventList>("events", ...filter)).items.map((one) => one.id);
  expect(await idsOf("--correlation", event?.correlationId ?? "")).toEqual([event?.id ?? ""]);
  const created = ["--type", "order.order.created", "--since", "1h"];
  expect(await idsOf(...created)).toContain(event?.id ?? "");
  expect(await idsOf(...created, "--until", String(event?.at))).not.toContain(event?.id ?? "");
  expect(await idsOf("--type", "order.order.none")).toEqual([]);
}, 30_000);

test("what the key may not, and what is not there, is said in one sentence", async () => {
  const refusals = [
    [["keys", "list"], /^The key ann does not have the scope admin\n$/],
    [["audit"], /^The key ann does not have the scope admin\n$/],
    [["parked", "show", "999999"], /^There is no parked key 999999\n$/],
    [["dead", "discard", "1", "--reason", "x", "--by", "bob"], /^--by is for this machine/],
    [["event", "01890a5d-ac96-774b-bcce-b302099a8057"], /^No handler and no letter knows an event/],
  ] as const;
  for (const [args, message] of refusals) {
    const refused = await outrider(...args);
    expect([args.join(" "), refused.code]).toEqual([args.join(" "), 1]);
    expect(refused.stderr).toMatch(message);
  }
  const wrong = await runOutrider({ url: ops.url, key: "ork_1_no" }, ["handlers"]);
  expect(wrong.stderr).toBe("This key is wrong, revoked or expired\n");
  const away = await runOutrider({ url: "http://127.0.0.1:9", key }, ["handlers"]);
  expect(away.stderr).toStartWith("The operations API does not answer at http://127.0.0.1:9");
});

/** By process: what it tells Prometheus. */
const readMetrics = async (): Promise<[string, string][]> => {
  const { shop, relay, worker, outside } = stage;
  const apps = Object.entries({ ops, outside, relay, shop, worker });
  // Only the operations API asks for it.
  const headers = { authorization: `Bearer ${key}` };
  return Promise.all(
    apps.map(async ([name, { url }]) => {
      const told = await fetch(`${url}/metrics`, { headers });
      return [name, await told.text()];
    }),
  );
};

test("the metrics of each process are named as Prometheus asks", async () => {
  for (const [name, text] of await readMetrics()) {
    expect([name, checkMetricNames(text)]).toEqual([name, []]);
  }
});

testWithTool("promtool")("promtool accepts the metrics of each process", async (promtool) => {
  for (const [name, input] of await readMetrics()) {
    const { status, stderr } = spawnSync(promtool, ["check", "metrics"], { input });
    expect([name, status, String(stderr)]).toEqual([name, 0, ""]);
  }
});
