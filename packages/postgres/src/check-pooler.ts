/**
 * Whether a pooler in transaction mode stands before Postgres, told by what it does: two
 * connections that are open are served by one backend, or one connection by several. Sessions do
 * not last there, so that prepared statements, LISTEN, advisory locks of a session and what SET
 * sets are lost, and nothing says so until a statement fails.
 */

import { fault, within } from "@outrider/event";
import { checkConnection, directly } from "./check-connection.ts";
import type { Limits } from "./check-connection.ts";
import { connect } from "./connect.ts";
import type { Pooler, Sql } from "./connect.ts";

/** Where others use the pooler, one round may see nothing; where it is idle, the first one does. */
const rounds = 3;
/** A pooler that gives each session a connection may have none left. */
const answerMaxMs = 5_000;

/** Of a process that can do without sessions. */
const bySetting = "Set DATABASE_POOLER=transaction, or connect to Postgres itself.";

/**
 * Returns a check that throws `settings_invalid` with the next step where a pooler in transaction
 * mode answers, and what is wrong where nobody does. It asks until it has an answer, and then no
 * more.
 */
export const createPoolerCheck = (
  url: string,
  nextStep: string = directly,
): (() => Promise<void>) => {
  let found: boolean | undefined;
  return async () => {
    found ??= await hasPooler(url);
    if (!found) return;
    const what = "A pooler in transaction mode answers at DATABASE_URL";
    throw fault("settings_invalid", `${what}, which this process cannot work through. ${nextStep}`);
  };
};

export type ServerCheckOptions = Readonly<{
  url: string;
  /** What the process is told of its pooler. Absent: it cannot work through one. */
  pooler?: Pooler;
  limits?: Limits;
}>;

/** For the start of a process and its health: `sql` is one of its pools. */
export const createServerCheck = (
  sql: Sql,
  { url, pooler, limits }: ServerCheckOptions,
): (() => Promise<void>) => {
  if (pooler === "transaction") return () => checkConnection(sql, limits);
  const checkPooler = createPoolerCheck(url, pooler === undefined ? directly : bySetting);
  return async () => {
    await checkPooler();
    await checkConnection(sql);
  };
};

const hasPooler = async (url: string): Promise<boolean> => {
  const open = () => connect({ url, name: "outrider-check", poolMax: 1, pooler: "transaction" });
  const [one, other] = [open(), open()];
  try {
    const found = await within(answerMaxMs, sharesBackends(one, other));
    if (found !== "late") return found;
    throw fault("timeout", `Postgres did not answer two connections within ${answerMaxMs} ms`);
  } finally {
    await Promise.all([one.end({ timeout: 0 }), other.end({ timeout: 0 })]);
  }
};

const sharesBackends = async (one: Sql, other: Sql): Promise<boolean> => {
  const seen = { one: new Set<number>(), other: new Set<number>() };
  for (let round = 0; round < rounds; round += 1) {
    // Twice: a pooler that takes turns gives the second statement another backend.
    for (let n = 0; n < 2; n += 1) seen.one.add(await backendOf(one));
    seen.other.add(await backendOf(other));
  }
  return seen.one.size > 1 || seen.other.size > 1 || !seen.one.isDisjointFrom(seen.other);
};

const backendOf = async (sql: Sql): Promise<number> => {
  const [row] = await sql<{ pid: number }[]>`select pg_catalog.pg_backend_pid() as pid`;
  if (!row) throw fault("internal", "Postgres says no backend");
  return row.pid;
};
