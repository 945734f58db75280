/**
 * The operations API on a database of its own, called without a server. Every answer is compared
 * with what the API's own OpenAPI document says of it.
 */

import { createDecodes, createKey, createKeyCheck } from "@outrider/operations";
import { createOperationsApi, planning, startDriver } from "@outrider/operations";
import type { OperationsDeps, Scope } from "@outrider/operations";
import { writeRecord } from "@outrider/outbox";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { createAnswerCheck } from "./answer-check.ts";
import type { OpenApiDocument } from "./answer-check.ts";
import { createTestDatabase } from "./database.ts";
import { createKeptLog } from "./kept-log.ts";
import type { KeptLine } from "./kept-log.ts";
import { silentLog } from "./silent-log.ts";

export type Asked = Readonly<{
  /** In place of the key of an administrator; null: none. */
  key?: string | null;
  address?: string;
  headers?: Readonly<Record<string, string>>;
  /** A text is sent as it is, anything else as JSON. */
  body?: unknown;
}>;

export type TestOperations = Readonly<{
  sql: Sql;
  lines: readonly KeptLine[];
  document: OpenApiDocument;
  call(method: string, path: string, asked?: Asked): Promise<Response>;
  get(path: string, asked?: Asked): Promise<Response>;
  /** Without the comparison, which takes its time. */
  look(path: string): Promise<Response>;
  post(path: string, body?: unknown, asked?: Asked): Promise<Response>;
  /** The answer's body; throws what is answered in place of a 2xx. */
  read<T>(path: string): Promise<T>;
  keyWith(...scopes: Scope[]): Promise<string>;
  /** For a server of the test's own. */
  answer(request: Request): Promise<Response>;
  close(): Promise<void>;
}>;

type Served = Parameters<typeof createOperationsApi>;

type Given = "kafka" | "retryQueues" | "loadDecodes" | "sql";

type More = Partial<Pick<OperationsDeps, Given>> &
  Partial<Pick<Served[0], "stopping" | "queuePages">> &
  Readonly<{
    failuresMax?: number;
    poolMax?: number;
    limits?: Served[1];
    /** Carries out what is begun; it does unless it is said otherwise. */
    isDriving?: boolean;
  }>;

export const createTestOperations = async (
  url: string,
  more: More = {},
): Promise<TestOperations> => {
  const { failuresMax, poolMax = 10, limits, isDriving = true, ...given } = more;
  const sql = connect({ url, name: "test-operations", poolMax, parameters: planning });
  const { log, lines } = createKeptLog();
  const deps = { sql, log: silentLog, random: () => 0, writeRecord };
  const driver = isDriving ? startDriver(deps) : undefined;
  const monotonicMs = () => performance.now();
  const app = createOperationsApi(
    {
      ...{ sql, log, writeRecord, wake: () => driver?.wake() },
      newId: () => Bun.randomUUIDv7(),
      authenticate: createKeyCheck({ sql, log, monotonicMs }, { failuresMax: failuresMax ?? 1e6 }),
      loadDecodes: async () => createDecodes([]),
      registry: { contentType: "text/plain", metrics: async () => "" },
      checks: { postgres: async () => void (await sql`select 1`) },
      readAsset: async () => new Uint8Array(),
      ...given,
    },
    limits,
  );
  let keys = 0;
  const keyWith = async (...scopes: Scope[]): Promise<string> => {
    keys += 1;
    const wanted = { name: `test ${keys} ${crypto.randomUUID()}`, scopes, by: "test" };
    return (await sql.begin((tx) => createKey(tx, wanted))).key;
  };
  const admin = await keyWith("admin");

  const send = async (method: string, path: string, asked: Asked = {}): Promise<Response> => {
    const { key = admin, address = "127.0.0.1", headers, body } = asked;
    const init = {
      method,
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    };
    return app.request(path, init, { address });
  };
  const described = await send("GET", "/openapi.json");
  const document = (await described.json()) as OpenApiDocument;
  const checkAnswer = createAnswerCheck(document);
  const call: TestOperations["call"] = async (method, path, asked) => {
    const response = await send(method, path, asked);
    // Of a stream there would be a copy that nobody reads to its end.
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
    await checkAnswer(method, path, isStream ? response : response.clone());
    return response;
  };
  return {
    ...{ sql, lines, document, call, keyWith },
    look: (path) => send("GET", path),
    get: (path, asked) => call("GET", path, asked),
    post: (path, body, asked) => call("POST", path, { ...asked, body }),
    answer: async (request) => app.fetch(request, { address: "127.0.0.1" }),
    read: async <T>(path: string) => {
      const response = await call("GET", path);
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as T;
    },
    close: async () => {
      await driver?.stop();
      await sql.end({ timeout: 1 });
    },
  };
};

export type OwnOperations = TestOperations & Readonly<{ databaseUrl: string }>;

/** On a database of its own, which goes with it. */
export const createOwnOperations = async (more: More = {}): Promise<OwnOperations> => {
  const database = await createTestDatabase();
  const api = await createTestOperations(database.url, more);
  return {
    ...api,
    databaseUrl: database.url,
    close: async () => {
      await api.close();
      await database.drop();
    },
  };
};
