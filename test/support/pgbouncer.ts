/** A PgBouncer of a test's own, in front of the Postgres of a URL. */

import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@outrider/postgres";
import { choosePort, startChild, tailOf } from "@outrider/stack";
import { testEnvironment } from "./environment.ts";
import { until } from "./until.ts";

export type Pgbouncer = Readonly<{
  /** As the URL of Postgres, with the pooler in between. */
  url: string;
  stop(): Promise<void>;
}>;

export type PgbouncerSettings = Readonly<{
  command: string;
  mode: "transaction" | "session";
  /** Connections to Postgres. */
  poolSize?: number;
  more?: readonly string[];
}>;

/** It refuses to run as root; the number is nobody's on every Linux. */
const nobody = 65_534;
const stopMs = 2_000;

export const startPgbouncer = async (
  databaseUrl: string,
  { command, mode, poolSize = 4, more = [] }: PgbouncerSettings,
): Promise<Pgbouncer> => {
  const behind = new URL(databaseUrl);
  const url = new URL(databaseUrl);
  url.port = String(await choosePort([0]));
  const folder = mkdtempSync(join(tmpdir(), "outrider-pgbouncer-"));
  const file = join(folder, "pgbouncer.ini");
  const user = `user=${decodeURIComponent(behind.username)}`;
  const settings = [
    "[databases]",
    `* = host=${behind.hostname} port=${behind.port} ${user} password=${behind.password}`,
    "[pgbouncer]",
    `listen_addr = 127.0.0.1`,
    `listen_port = ${url.port}`,
    "unix_socket_dir =",
    "auth_type = any",
    `pool_mode = ${mode}`,
    `default_pool_size = ${poolSize}`,
    ...more,
  ];
  writeFileSync(file, settings.join("\n"), { mode: 0o600 });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    chmodSync(folder, 0o755);
    chownSync(file, nobody, nobody);
  }
  const logFile = join(folder, "pgbouncer.log");
  const child = await startChild({
    name: "pgbouncer",
    command,
    args: [file],
    cwd: folder,
    env: testEnvironment(),
    logFile,
    ...(isRoot && { uid: nobody, gid: nobody }),
  });
  const stop = async (): Promise<void> => {
    await child.stop(stopMs);
    rmSync(folder, { recursive: true, force: true });
  };
  const answers = async (): Promise<boolean> => {
    if (!child.isRunning()) throw new Error(`PgBouncer has ended:\n${tailOf(logFile)}`);
    const sql = connect({ url: url.href, name: "pgbouncer", poolMax: 1, pooler: "transaction" });
    const asked = sql`select 1`.then(
      () => true,
      () => false,
    );
    return asked.finally(() => sql.end({ timeout: 1 }));
  };
  await until(answers, { what: "PgBouncer" }).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url: url.href, stop };
};
