/**
 * What commands of operators work through: the operations API. With `--url` it is that of a process
 * elsewhere, under a key; otherwise this process answers itself, from the database, under the name
 * of who is at this machine.
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createTopicReader } from "@outrider/broker";
import { openRetryQueues } from "@outrider/bullmq";
import { fault, faultCodes, isFault } from "@outrider/event";
import type { Catalogue, FaultCode } from "@outrider/event";
import {
  createDecodes,
  createLocalApi,
  readBulk,
  recordDeed,
  stepBulk,
} from "@outrider/operations";
import type { Deed, OperationsRoutes } from "@outrider/operations";
import { writeRecord } from "@outrider/outbox";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { driveRedrive } from "@outrider/redrive";
import { hc } from "hono/client";
import type { ClientResponse } from "hono/client";
import type { JSONParsed } from "hono/utils/types";
import { findKafka, runningIn, withDatabase } from "./database.ts";
import type { Context } from "./main.ts";
import { userName } from "./user.ts";
import { topicModules } from "./project.ts";

const connectClient = (url: string, send: (request: Request) => Promise<Response>) =>
  hc<OperationsRoutes>(url, {
    // It is always the text of a URL.
    fetch: (input: string | URL | Request, init?: RequestInit) =>
      send(new Request(input as string, init)),
  });

/** As it comes out of JSON: times are texts. */
export type Json<T> = JSONParsed<T>;

export type OperationsClient = ReturnType<typeof connectClient>["v1"];

export type Operations = Readonly<{
  client: OperationsClient;
  /** Carries out what was begun, until it is over; absent where a process elsewhere does it. */
  drive?: Readonly<{ redrive(id: number): Promise<void>; bulk(id: number): Promise<void> }>;
}>;

/** `by`: in whose name; a key has a name of its own. */
export type Who = Readonly<{ by?: string | undefined }>;

export const byOf = ({ by }: Who): string => by ?? userName();

/** What a command has changed in the database itself, past the API. */
export const record = (
  tx: TransactionSql,
  { by, ...deed }: Who & Pick<Deed, "action" | "target" | "details">,
): Promise<void> => {
  const caller = { name: byOf({ by }), key: null, scopes: ["admin"] } as const;
  return recordDeed(tx, { caller, requestId: crypto.randomUUID(), ...deed });
};

/** The API's own time limit is shorter. */
const answerMs = 15_000;

/** Throws what the API answers as a problem, and `unavailable` where it does not answer. */
export const withOperations = async (
  context: Context,
  act: (operations: Operations) => Promise<number>,
  who: Who = {},
): Promise<number> => {
  const { url, key } = context.settings.outrider ?? {};
  if (url === undefined)
    return withDatabase(context, (sql) => actLocally(context, { sql, who, act }));
  if (key === undefined) {
    throw fault("settings_invalid", "A key is needed: OUTRIDER_KEY, or --api-key");
  }
  if (who.by !== undefined) throw fault("invalid", "--by is for this machine: the key has a name");
  const send = async (request: Request): Promise<Response> => {
    request.headers.set("authorization", `Bearer ${key}`);
    const late = new AbortController();
    // Until the answer begins: an export takes as long as it takes.
    const timer = setTimeout(() => late.abort(), answerMs);
    try {
      const asked = fetch(request, { redirect: "error", signal: late.signal });
      return await unlessStopped(asked, context.signal);
    } catch (cause) {
      if (isFault(cause)) throw cause;
      throw fault("unavailable", `The operations API does not answer at ${url}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  };
  return act({ client: connectClient(url, send).v1 });
};

/** What is asked for after a stop is short: how far something is. */
const unlessStopped = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  if (signal.aborted) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(fault("unavailable", "It was stopped before there was an answer"));
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
};

type Local = Readonly<{ sql: Sql; who: Who; act(operations: Operations): Promise<number> }>;

const actLocally = async (context: Context, { sql, who, act }: Local): Promise<number> => {
  const { settings, signal } = context;
  const kafka = findKafka(context);
  const redisUrl = settings.redisUrl ?? runningIn(context)?.services.redis?.url;
  const reader = kafka && createTopicReader(kafka);
  const retryQueues = redisUrl === undefined ? undefined : openRetryQueues(redisUrl);
  const api = createLocalApi(
    {
      ...{ sql, writeRecord, kafka: reader, retryQueues },
      thresholds: settings.well,
      newId: () => Bun.randomUUIDv7(),
      loadDecodes: async () => createDecodes(await loadCatalogues(context.root)),
      // Whoever has begun something drives it, see below.
      wake: () => {},
    },
    byOf(who),
  );
  const send = async (request: Request) =>
    unlessStopped((async () => api.fetch(request))(), signal);
  const client = connectClient("http://localhost", send).v1;
  const warn = (_: object, message?: string) => context.report.say(message ?? "");
  const drive = {
    redrive: (id: number) =>
      driveRedrive(sql, id, { log: { warn }, random: Math.random, signal }).then(() => {}),
    bulk: (id: number) => driveBulk(sql, id, signal),
  };
  try {
    return await act({ client, drive });
  } finally {
    await Promise.all([reader?.close(), retryQueues?.close()]);
  }
};

/** Between two tries to go on with what another process is at. */
const turnMs = 200;

const driveBulk = async (sql: Sql, id: number, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    while (!signal.aborted && (await stepBulk(sql, id, writeRecord)));
    if ((await readBulk(sql, id)).state !== "running") return;
    await delay(turnMs, undefined, { signal }).catch(() => {});
  }
};

const loadCatalogues = (root: string): Promise<Catalogue[]> =>
  Promise.all(
    topicModules.map(async (path) => {
      const loaded = (await import(join(root, path))) as { catalogue: Catalogue };
      return loaded.catalogue;
    }),
  );

/** The body of an answer. Throws what was answered as a problem. */
export const bodyOf = async <T>(asked: Promise<ClientResponse<T, number, "json">>): Promise<T> => {
  const response = await asked;
  await assertOk(response);
  const body = await response.text();
  try {
    return JSON.parse(body) as T;
  } catch (cause) {
    throw fault("unavailable", `What answers at ${response.url} is no operations API`, { cause });
  }
};

export const assertOk = async (
  response: Readonly<{ ok: boolean; status: number; url: string; text(): Promise<string> }>,
): Promise<void> => {
  if (response.ok) return;
  const where = `What answers at ${response.url} with status ${response.status}`;
  throw problemOf(await response.text(), `${where} is no operations API`);
};

const problemOf = (body: string, otherwise: string): Error => {
  try {
    const {
      type,
      detail,
      errors = [],
    } = JSON.parse(body) as {
      type: string;
      detail: string;
      errors?: { pointer: string; detail: string }[];
    };
    const fields = errors.map((one) => `\n  ${one.pointer.slice(1)} ${one.detail}`).join("");
    return fault(codeOf(type), `${detail}${fields}`);
  } catch {
    return fault("unavailable", otherwise);
  }
};

const codeOf = (type: string): FaultCode => {
  const name = type.split(":").at(-1);
  return faultCodes.find((code) => code === name) ?? "internal";
};
