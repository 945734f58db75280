/** Who may use the operations API. On real Postgres; a new route is looked at by itself. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { scopes } from "@outrider/operations";
import type { Scope } from "@outrider/operations";
import { operationsOf } from "../support/answer-check.ts";
import { createOwnOperations, createTestOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";

let api: OwnOperations;

beforeAll(async () => {
  api = await createOwnOperations();
});

afterAll(async () => {
  await api?.close();
});

const uuid = "01890a5d-ac96-774b-bcce-b302099a8057";

/** A path of each kind, of something that is not there. */
const pathOf = (pattern: string): string =>
  pattern.replace("/events/{id}", `/events/${uuid}`).replaceAll(/\{[^}]+\}/g, "999999");

/** What may be asked without being an operation of the document. */
const pages = ["/openapi.json", "/docs", "/docs/start.js", "/metrics", "/v1/nothing", "/nothing"];

describe("the document", () => {
  test("is valid OpenAPI 3.1", async () => {
    const result = await new Validator().validate(structuredClone(api.document));
    expect(result.errors ?? []).toEqual([]);
    expect(api.document.openapi).toStartWith("3.1");
  });

  test("names and describes every operation, its scope included", () => {
    const found = operationsOf(api.document);
    expect(found.length).toBeGreaterThan(30);
    const ids = found.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, operation } of found) {
      expect(path).toStartWith("/v1/");
      expect(operation.security?.flatMap((one) => one.key ?? [])).not.toEqual([]);
    }
  });
});

describe("every operation", () => {
  const needed = ({ security = [] }: { security?: readonly object[] }) =>
    security.flatMap((one) => (one as { key: Scope[] }).key);

  test("refuses who has no key, a wrong one, and what is none", async () => {
    const wrong = `ork_1_${"x".repeat(43)}`;
    for (const { method, path } of operationsOf(api.document)) {
      for (const key of [null, wrong, "secret", "ork_0_", `ork_99999_${"x".repeat(43)}`]) {
        const response = await api.call(method, pathOf(path), { ...bodyOf(method), key });
        expect([method, path, response.status]).toEqual([method, path, 401]);
        expect(response.headers.get("www-authenticate")).toContain("Bearer");
      }
    }
  });

  test("refuses a key with every scope but its own, and takes one with that alone", async () => {
    for (const { method, path, operation } of operationsOf(api.document)) {
      const wanted = needed(operation);
      const others = scopes.filter((one) => one !== "admin" && !wanted.includes(one));
      const narrow = await api.keyWith(...others);
      const refused = await api.call(method, pathOf(path), { ...bodyOf(method), key: narrow });
      expect([method, path, refused.status]).toEqual([method, path, 403]);
      for (const scope of wanted) {
        const key = await api.keyWith(scope);
        const taken = await api.call(method, pathOf(path), { ...bodyOf(method), key });
        expect([method, path, [401, 403].includes(taken.status)]).toEqual([method, path, false]);
      }
    }
  });

  const bodyOf = (method: string) => (method === "GET" ? {} : { body: {} });
});

describe("pages and paths that are no operations", () => {
  test("need a key, too; health alone does not", async () => {
    for (const path of pages)
      expect([path, (await api.get(path, { key: null })).status]).toEqual([path, 401]);
    for (const path of ["/livez", "/readyz", "/readyz?verbose"]) {
      expect((await api.get(path, { key: null })).status).toBe(200);
    }
  });

  test("ask a browser for its password, with which it may look and nothing else", async () => {
    const key = await api.keyWith("admin");
    const headers = { authorization: `Basic ${btoa(`ann:${key}`)}` };
    const page = await api.get("/docs", { key: null });
    expect(page.headers.get("www-authenticate")).toBe('Basic realm="outrider"');
    expect((await api.get("/docs", { key: null, headers })).status).toBe(200);
    expect((await api.get("/v1/keys", { key: null, headers })).status).toBe(200);
    const body = { name: "from a form", scopes: ["admin"] };
    const refused = await api.post("/v1/keys", body, { key: null, headers });
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({ detail: expect.stringContaining("Authorize") });
  });
});

describe("a key", () => {
  test("is shown once, and neither stored nor logged", async () => {
    const made = await api.post("/v1/keys", { name: "once", scopes: ["events:read"] });
    expect(made.status).toBe(201);
    const { id, key } = (await made.json()) as { id: number; key: string };
    expect(key).toMatch(new RegExp(`^ork_${id}_[\\w-]{43}$`));
    const secret = key.slice(-43);
    expect((await api.get("/v1/parked", { key })).status).toBe(200);
    expect((await api.get("/v1/parked", { key: key.replace(/.$/, "_") })).status).toBe(401);
    expect(await (await api.get("/v1/keys")).text()).not.toContain(secret);
    const dumped = await api.sql`
      select to_jsonb(k)::text || encode(k.hash, 'escape') as text from outrider.api_keys k
      union all select to_jsonb(a)::text from outrider.audit a`;
    expect(dumped.length).toBeGreaterThan(2);
    expect(JSON.stringify(dumped)).not.toContain(secret);
    expect(JSON.stringify(api.lines)).not.toContain(secret);
    expect(api.lines.length).toBeGreaterThan(0);
  });

  test("is refused from the moment that it is revoked", async () => {
    const made = await api.post("/v1/keys", { name: "short", scopes: ["events:read"] });
    const { id, key } = (await made.json()) as { id: number; key: string };
    expect((await api.get("/v1/parked", { key })).status).toBe(200);
    expect((await api.post(`/v1/keys/${id}/revoke`)).status).toBe(200);
    expect((await api.get("/v1/parked", { key })).status).toBe(401);
    expect((await api.post(`/v1/keys/${id}/revoke`)).status).toBe(409);
    // Its name is free again.
    const again = await api.post("/v1/keys", { name: "short", scopes: ["events:read"] });
    expect(again.status).toBe(201);
    const taken = await api.post("/v1/keys", { name: "short", scopes: ["events:read"] });
    expect(taken.status).toBe(409);
  });

  test("ends when it expires", async () => {
    const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
    const made = await api.post("/v1/keys", { name: "day", scopes: ["events:read"], expiresAt });
    const { id, key } = (await made.json()) as { id: number; key: string };
    expect((await api.get("/v1/parked", { key })).status).toBe(200);
    await api.sql`update outrider.api_keys set expires_at = clock_timestamp() where id = ${id}`;
    expect((await api.get("/v1/parked", { key })).status).toBe(401);
  });

  test("says when it was used, and who has made and revoked it", async () => {
    const { items } = await api.read<{ items: Record<string, unknown>[] }>("/v1/keys");
    const short = items.filter((one) => one.name === "short");
    expect(short.map((one) => one.revokedBy !== null)).toEqual([false, true]);
    expect(short[1]).toMatchObject({ createdBy: expect.stringContaining("test 1 ") });
    expect(short[1]?.usedAt).not.toBeNull();
    expect(short[0]?.usedAt).toBeNull();
  });
});

describe("wrong keys", () => {
  test("are counted for an address, from which none is looked at then; others are", async () => {
    const strict = await createTestOperations(api.databaseUrl, { failuresMax: 3 });
    const from = (address: string, key?: string) =>
      strict.get("/v1/parked", { address, ...(key !== undefined && { key }) });
    try {
      const statuses: number[] = [];
      // The same one counts once.
      for (const key of ["a", "a", "a", "a", "b", "c", "d"]) {
        statuses.push((await from("10.0.0.1", key)).status);
      }
      expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429]);
      const waiting = await from("10.0.0.1", `ork_1_${"x".repeat(43)}`);
      expect(waiting.status).toBe(429);
      expect(Number(waiting.headers.get("retry-after"))).toBeGreaterThan(0);
      expect((await from("10.0.0.2")).status).toBe(200);
      const problems = strict.lines.filter(({ level }) => level === "warn");
      expect(problems.length).toBe(6);
    } finally {
      await strict.close();
    }
  });
});

describe("behind an address from which wrong keys come", () => {
  test("a right key passes, however new it is and however many are wrong", async () => {
    const strict = await createTestOperations(api.databaseUrl, { failuresMax: 1 });
    const from = async (key?: string) =>
      (await strict.get("/v1/parked", key === undefined ? {} : { key })).status;
    try {
      const wrong = (n: number) => `ork_${n}_${"x".repeat(43)}`;
      expect([await from(wrong(1)), await from(wrong(2))]).toEqual([401, 429]);
      const made = await strict.post("/v1/keys", { name: "behind", scopes: ["events:read"] });
      const { id, key } = (await made.json()) as { id: number; key: string };
      const guesses = Array.from({ length: 200 }, (_, n) => from(wrong(n)));
      expect([await from(key), await from()]).toEqual([200, 200]);
      expect(new Set(await Promise.all(guesses))).toEqual(new Set([429]));
      // Another key's secret, and the right one under another number.
      expect(await from(key.replace(`ork_${id}_`, "ork_999999_"))).toBe(429);
      await strict.post(`/v1/keys/${id}/revoke`);
      expect(await from(key)).toBe(429);
    } finally {
      await strict.close();
    }
  });
});

describe("the audit", () => {
  test("knows who has changed what, and cannot be changed", async () => {
    const made = await api.post("/v1/keys", { name: "audited", scopes: ["admin"] });
    const { id, key } = (await made.json()) as { id: number; key: string };
    await api.post("/v1/keys", { name: "by it", scopes: ["events:read"] }, { key });
    const { items } = await api.read<{ items: object[] }>("/v1/audit?actor=audited");
    expect(items).toMatchObject([
      {
        ...{ actor: "audited", key: id, action: "createKey" },
        details: { name: "by it", scopes: ["events:read"] },
      },
    ]);
    const ofIt = await api.read<{ items: object[] }>(`/v1/audit?target=keys/${id}`);
    expect(ofIt.items.length).toBe(1);
    const attempts = [
      api.sql`update outrider.audit set actor = 'nobody'`,
      api.sql`delete from outrider.audit`,
      api.sql`truncate outrider.audit`,
    ];
    for (const attempt of attempts) {
      expect(await attempt.catch((error: unknown) => String(error))).toContain("added only");
    }
  });

  test("has no line of what was refused", async () => {
    const before = await api.read<{ items: object[] }>("/v1/audit");
    await api.post("/v1/keys/999999/revoke");
    await api.post("/v1/keys", { name: "audited", scopes: ["admin"] });
    const after = await api.read<{ items: object[] }>("/v1/audit");
    expect(after.items.length).toBe(before.items.length);
  });
});
