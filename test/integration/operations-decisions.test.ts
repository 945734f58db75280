/**
 * What operators decide over the API: each decision has its effect, and its line in the audit. On
 * real Postgres; the events are rows as handlers leave them.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { AuditEntry, BulkOperation, ParkedKey } from "@outrider/operations";
import type { Letter, LetterSummary, Redrive } from "@outrider/redrive";
import { operationsOf } from "../support/answer-check.ts";
import { refillOperations } from "../support/fill-operations.ts";
import { madeUpKafka } from "../support/made-up-kafka.ts";
import { createOwnOperations, createTestOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";
import { until } from "../support/until.ts";

let api: OwnOperations;

beforeAll(async () => {
  api = await createOwnOperations();
});

afterAll(async () => {
  await api?.close();
});

beforeEach(async () => {
  await refillOperations(api.sql, { parked: 30, letters: 30, inbox: 10 });
});

type Items<T> = Readonly<{ items: T[]; next: string | null }>;

const parkedOf = async (query: string) =>
  (await api.read<Items<ParkedKey>>(`/v1/parked?${query}`)).items;

const lettersOf = async (query: string) =>
  (await api.read<Items<LetterSummary>>(`/v1/dead-letters?${query}`)).items;

const reason = "a test";

/** An operation or redrive that was begun, when it is over. */
const over = async <T extends { state: string }>(response: Response): Promise<T> => {
  expect(response.status).toBe(202);
  const { url } = (await response.json()) as { url: string };
  expect(response.headers.get("location")).toBe(url);
  const done = async () => {
    const found = await api.read<T>(url);
    return found.state === "running" ? undefined : found;
  };
  return until(done, { what: "the end of the operation" });
};

const lastDeed = async () => (await api.read<Items<AuditEntry>>("/v1/audit?limit=1")).items[0];

describe("lists", () => {
  test("are whole, page by page, and each filter leaves what it says", async () => {
    const ids: number[] = [];
    for (let cursor = ""; ;) {
      const page = await api.read<Items<ParkedKey>>(`/v1/parked?limit=7${cursor}`);
      ids.push(...page.items.map((one) => one.id));
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    expect(ids.length).toBe(30);
    expect(new Set(ids).size).toBe(30);
    const all = await parkedOf("limit=100");
    const one = all[3] as ParkedKey;
    const same = (isIt: (key: ParkedKey) => boolean) => all.filter(isIt).map((key) => key.id);
    const found = async (query: string) => (await parkedOf(query)).map((key) => key.id);
    expect(await found(`handler=${one.handler}`)).toEqual(same((k) => k.handler === one.handler));
    expect(await found(`topic=${one.topic}`)).toEqual(same((k) => k.topic === one.topic));
    expect(await found(`key=${one.key}`)).toEqual([one.id]);
    expect(await found(`code=${one.first.code}`)).toEqual(
      same((k) => k.first.code === one.first.code),
    );
    expect(await found("state=held")).toEqual(same((k) => k.state === "held"));
    expect(same((k) => k.state === "held").length).toBe(3);
    expect(all.filter((k) => k.events === 4).length).toBe(6);
  });

  test("refuse a cursor of another list, and a filter that there is none of", async () => {
    const long = (await parkedOf("limit=100")).find((key) => key.events > 1);
    const { next } = await api.read<Items<object>>(`/v1/parked/${long?.id}/events?limit=1`);
    expect((await api.get(`/v1/parked?cursor=${next}`)).status).toBe(400);
    expect((await api.get("/v1/parked?hndler=x")).status).toBe(422);
  });
});

describe("a parked key", () => {
  test("is run at once, postponed and buried", async () => {
    const [one] = await parkedOf("state=waiting&limit=1");
    const path = `/v1/parked/${one?.id}`;
    expect((await api.post(`${path}/run-now`)).status).toBe(200);
    expect(await api.read(path)).toMatchObject({ state: "due" });
    expect(await lastDeed()).toMatchObject({
      ...{ action: "runParked", target: `events/${one?.first.eventId}` },
      details: { parked: one?.id },
    });
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    expect((await api.post(`${path}/postpone`, { until: tomorrow })).status).toBe(200);
    expect(await api.read(path)).toMatchObject({ state: "waiting", dueAt: tomorrow });
    expect((await api.post(`${path}/bury`, { reason })).status).toBe(200);
    expect(await api.read(path)).toMatchObject({ state: "held", dueAt: null });
    const [letter] = await lettersOf("code=BURIED_BY_OPERATOR");
    expect(letter).toMatchObject({ eventId: one?.first.eventId, message: reason });
    // Now a letter holds it.
    expect((await api.post(`${path}/run-now`)).status).toBe(409);
    expect((await api.post("/v1/parked/999999/run-now")).status).toBe(404);
  });

  test("of many, all that match are decided about, and what has changed is refused", async () => {
    const wanted = { action: "bury-parked", filter: { state: "waiting" }, behind: "skip", reason };
    const held = (await parkedOf("state=held")).length;
    const operation = await over<BulkOperation>(await api.post("/v1/parked/bulk", wanted));
    const total = 30 - held;
    expect(operation).toMatchObject({ state: "done", total, done: total, refused: 0 });
    expect((await lettersOf("code=BURIED_BY_OPERATOR&limit=100")).length).toBe(total);
    // Their events behind have gone on: what is left is held, or has been waiting behind.
    const left = await parkedOf("limit=100");
    expect(left.every((key) => key.events === 3 || key.state === "held")).toBe(true);
    const some = { action: "run-parked", filter: { state: "held" }, reason };
    const refused = await over<BulkOperation>(await api.post("/v1/parked/bulk", some));
    expect(refused).toMatchObject({ state: "done", done: 0, refused: held });
    expect(refused.message).toContain("letter");
    const none = { action: "run-parked", filter: { handler: "none" }, reason };
    expect((await api.post("/v1/parked/bulk", none)).status).toBe(404);
    const all = { action: "run-parked", filter: {}, reason };
    expect((await api.post("/v1/parked/bulk", all)).status).toBe(422);
  });
});

describe("a dead letter", () => {
  test("is redriven edited, discarded, restored and noted, and says so", async () => {
    const [one, other] = await lettersOf("state=open&limit=2");
    const path = `/v1/dead-letters/${one?.id}`;
    const edit = { reason, payload: { orderId: "edited" } };
    const redriven = await api.post(`${path}/redrive`, edit);
    const { replacedBy } = (await redriven.json()) as { replacedBy: string };
    const whole = await api.read<Letter & { history: { diff: string | null }[] }>(path);
    expect(whole).toMatchObject({ state: "redriven", replacedBy });
    expect(whole.history.at(-1)?.diff).toContain('+  "orderId": "edited"');
    expect((await api.post(`${path}/redrive`, { reason })).status).toBe(409);
    const second = `/v1/dead-letters/${other?.id}`;
    for (const verb of ["discard", "restore", "note"]) {
      expect([verb, (await api.post(`${second}/${verb}`, { reason })).status]).toEqual([verb, 200]);
      expect(await lastDeed()).toMatchObject({ action: `${verb}Letter`, details: { reason } });
    }
    const both = { reason, payload: 1, payloadBase64: "MQ==" };
    expect((await api.post(`${second}/redrive`, both)).status).toBe(422);
  });

  test("of many, they are discarded as an operation", async () => {
    const open = (await lettersOf("state=open&limit=100")).length;
    const [one] = await lettersOf("state=open&limit=1");
    const ofOne = { handler: one?.handler };
    const few = (await lettersOf(`state=open&handler=${one?.handler}`)).length;
    const wish = { action: "discard-letters", filter: ofOne, reason };
    const operation = await over<BulkOperation>(await api.post("/v1/dead-letters/bulk", wish));
    expect(operation).toMatchObject({ state: "done", total: few, done: few, refused: 0 });
    expect((await lettersOf("state=open&limit=100")).length).toBe(open - few);
  });

  test("of many, they are redriven by this process, without anybody else", async () => {
    const [one] = await lettersOf("state=open&limit=1");
    const filter = { handler: one?.handler };
    const preview = await api.read<{ letters: number; keys: number }>(
      `/v1/redrives/preview?handler=${one?.handler}`,
    );
    const wish = { filter, reason, canary: 0, ratePerS: 1000 };
    const redrive = await over<Redrive>(await api.post("/v1/redrives", wish));
    expect(redrive).toMatchObject({ state: "done", redriven: preview.letters, refused: 0 });
    expect((await api.post("/v1/redrives", { ...wish, filter: {} })).status).toBe(422);
    expect((await api.post("/v1/redrives", wish)).status).toBe(404);
  });
});

describe("the audit", () => {
  test("has a line of everything that the document can change", async () => {
    // Nobody carries out what is begun here, so that it can be cancelled.
    const still = await createTestOperations(api.databaseUrl, {
      ...{ isDriving: false, kafka: madeUpKafka() },
    });
    const post = async (path: string, body?: unknown): Promise<{ id: number }> => {
      const response = await still.post(path, body);
      expect([path, response.ok]).toEqual([path, true]);
      return (await response.json()) as { id: number };
    };
    const [head] = await parkedOf("state=waiting&limit=1");
    await post(`/v1/parked/${head?.id}/run-now`);
    await post(`/v1/parked/${head?.id}/postpone`, { until: "2099-01-01T00:00:00Z" });
    await post(`/v1/parked/${head?.id}/bury`, { reason });
    const [first, second] = await lettersOf("state=open&limit=2");
    await post(`/v1/dead-letters/${first?.id}/redrive`, { reason });
    for (const verb of ["discard", "restore", "note"]) {
      await post(`/v1/dead-letters/${second?.id}/${verb}`, { reason });
    }
    const wish = { filter: {}, all: true, reason };
    await post("/v1/dead-letters/bulk", { ...wish, action: "discard-letters" });
    const bulk = await post("/v1/parked/bulk", { ...wish, action: "run-parked" });
    await post(`/v1/operations/${bulk.id}/cancel`);
    const redrive = await post("/v1/redrives", wish);
    for (const verb of ["pause", "resume", "cancel"]) {
      await post(`/v1/redrives/${redrive.id}/${verb}`);
    }
    const [replay] = await still.sql<{ id: string }[]>`
      insert into outrider.replays (handler, ran_as, topic, by, reason)
      values ('a', 'a#1', 't', 'ann', 'x') returning id`;
    await post(`/v1/replays/${replay?.id}/cancel`);
    await still.sql`
      insert into outrider.watermarks ("group", topic, partition, next_offset, halted_at)
      values ('audited', 'orders', 0, 7, now())`;
    const place = { group: "audited", topic: "orders", partition: 0, from: "beginning", reason };
    await post("/v1/partitions/resume", place);
    const key = await post("/v1/keys", { name: crypto.randomUUID(), scopes: ["admin"] });
    await post(`/v1/keys/${key.id}/revoke`);
    await still.sql`
      insert into outrider.breakers (handler, open_until, code, message)
      values ('audited', now(), 'DOWN', 'away')`;
    expect((await still.call("DELETE", "/v1/handlers/audited")).status).toBe(200);
    await still.close();
    const { items } = await api.read<Items<AuditEntry>>("/v1/audit?limit=1000");
    const seen = new Set(items.map((one) => one.action));
    const changing = operationsOf(api.document).filter(({ method }) => method !== "GET");
    const unseen = changing.map(({ operation }) => operation.operationId);
    expect(unseen.filter((name) => !seen.has(name))).toEqual([]);
    expect(changing.length).toBeGreaterThan(15);
  });
});
