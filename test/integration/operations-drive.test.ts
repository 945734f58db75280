/** Decisions about many while things go wrong, and keys under load. On real Postgres. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { BulkOperation } from "@outrider/operations";
import type { Redrive } from "@outrider/redrive";
import { refillOperations } from "../support/fill-operations.ts";
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
  await refillOperations(api.sql, { parked: 200, letters: 300, inbox: 0 });
});

const reason = "a test";

const begin = async (path: string, body: object, key?: string): Promise<number> => {
  const response = await api.post(path, body, key === undefined ? {} : { key });
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: number }).id;
};

const over = <T extends { state: string }>(path: string): Promise<T> => {
  const done = async () => {
    const found = await api.read<T>(path);
    return found.state === "running" ? undefined : found;
  };
  return until(done, { what: `the end of ${path}` });
};

describe("an operation", () => {
  test("that several processes drive decides about each once", async () => {
    const others = await Promise.all([1, 2].map(() => createTestOperations(api.databaseUrl)));
    const all = { filter: {}, all: true, reason };
    const discarding = { ...all, action: "discard-letters" };
    const ids = await Promise.all([
      begin("/v1/dead-letters/bulk", { ...discarding, filter: { handler: "shop.handler-1" } }),
      begin("/v1/dead-letters/bulk", { ...discarding, filter: { handler: "shop.handler-2" } }),
      begin("/v1/parked/bulk", { ...all, action: "bury-parked", behind: "skip" }),
    ]);
    const redriving = { ...all, filter: { handler: "shop.handler-3" }, canary: 0, ratePerS: 1000 };
    const redrive = await begin("/v1/redrives", redriving);
    for (const id of ids) {
      const { total, done, refused } = await over<BulkOperation>(`/v1/operations/${id}`);
      expect(total).toBeGreaterThan(0);
      expect(done + refused).toBe(total);
    }
    const { total, redriven } = await over<Redrive>(`/v1/redrives/${redrive}`);
    expect(redriven).toBe(total);
    const twice = await api.sql`
      select from outrider.dead_letter_history where action <> 'buried'
      group by letter having count(*) > 1`;
    expect(twice.length).toBe(0);
    await Promise.all(others.map((one) => one.close()));
  });

  test("goes on when the key that has begun it is revoked: it was accepted", async () => {
    const made = await api.post("/v1/keys", { name: "leaver", scopes: ["parked:write"] });
    const { id: number, key } = (await made.json()) as { id: number; key: string };
    const still = await createTestOperations(api.databaseUrl, { isDriving: false });
    const wish = { action: "run-parked", filter: {}, all: true, reason };
    const id = await api.sql.begin(async (tx) => {
      const begun = await begin("/v1/parked/bulk", wish, key);
      await tx`select from outrider.operations where id = ${begun} for update`;
      expect((await still.post(`/v1/keys/${number}/revoke`)).status).toBe(200);
      return begun;
    });
    expect((await api.post("/v1/parked/bulk", wish, { key })).status).toBe(401);
    const operation = await over<BulkOperation>(`/v1/operations/${id}`);
    expect(operation).toMatchObject({ state: "done", by: "leaver", total: 200, done: 180 });
    await still.close();
  });

  test("passes over what fails again and again, and says so", async () => {
    const [odd] = await api.sql<{ id: string }[]>`
      select id from outrider.parked_heads where due_at < 'infinity' order by id limit 1`;
    await api.sql.unsafe(`
      create function outrider.fail() returns trigger language plpgsql as $$
        begin raise exception 'secret'; end $$;
      create trigger fail before update on outrider.parked_heads for each row
        when (old.id = ${odd?.id}) execute function outrider.fail()`);
    try {
      const wish = { action: "run-parked", filter: { state: "waiting" }, reason };
      const id = await begin("/v1/parked/bulk", wish);
      const operation = await over<BulkOperation>(`/v1/operations/${id}`);
      expect(operation).toMatchObject({ total: 180, done: 179, refused: 1 });
      expect(operation.message).toBe("It has failed: PostgresError");
    } finally {
      await api.sql.unsafe("drop function outrider.fail cascade");
    }
  });
});

describe("a key", () => {
  test("is answered while its row is locked, and says to the minute when it was used", async () => {
    const made = await api.post("/v1/keys", { name: "locked", scopes: ["events:read"] });
    const { id, key } = (await made.json()) as { id: number; key: string };
    await api.sql.begin(async (tx) => {
      await tx`select from outrider.api_keys where id = ${id} for update`;
      expect((await api.get("/v1/workers", { key })).status).toBe(200);
    });
    const usedAt = async () => {
      const [row] = await api.sql<{ at: Date | null; version: string }[]>`
        select used_at as at, xmin::text as version from outrider.api_keys where id = ${id}`;
      return row;
    };
    expect((await usedAt())?.at).toBeNull();
    const many = Array.from({ length: 50 }, () => api.get("/v1/workers", { key }));
    expect((await Promise.all(many)).every((one) => one.status === 200)).toBe(true);
    const first = await usedAt();
    expect(first?.at).not.toBeNull();
    await api.get("/v1/workers", { key });
    expect(await usedAt()).toEqual(first);
  });

  test("is answered where nothing can be written, such as on a full disk", async () => {
    const key = await api.keyWith("events:read");
    await api.sql.unsafe(`
      create function outrider.full() returns trigger language plpgsql as $$
        begin raise exception using errcode = '53100'; end $$;
      create trigger full_disk before update on outrider.api_keys
        for each statement execute function outrider.full()`);
    try {
      expect((await api.get("/v1/workers", { key })).status).toBe(200);
    } finally {
      await api.sql.unsafe("drop function outrider.full cascade");
    }
  });
});
