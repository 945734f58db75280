/**
 * The project's `.outrider` folder while somebody uses it: one user at a time, and a ledger of the
 * processes that were started, so that the next start can stop what a killed one left behind.
 * Throws Fault `already_running` with what runs, and where.
 */

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { signalGroup } from "./run.ts";
import type { Child } from "./child.ts";
import { readJson, writeJson } from "./json-file.ts";
import { identify, isAlive } from "./process-id.ts";
import type { ProcessId } from "./process-id.ts";
import type { Report } from "./report.ts";
import { redacted } from "./report.ts";
import { readStackFile, removeStackFile } from "./stack-file.ts";
import { waitFor } from "./wait.ts";

export type State = Readonly<{
  /** The `.outrider` folder. */
  dir: string;
  /** Enters a child into the ledger, until it has ended. */
  track(child: Child): void;
  /** Lets the next user in. */
  release(): void;
}>;

type Entry = ProcessId & Readonly<{ name: string; stopSignal: NodeJS.Signals }>;

const stopStaleMs = 8_000;
const pollMs = 50;

export const openState = async (
  root: string,
  { report, signal }: Readonly<{ report: Report; signal?: AbortSignal }>,
): Promise<State> => {
  const dir = join(root, ".outrider");
  mkdirSync(dir, { recursive: true });
  const release = claim(dir);
  try {
    const path = join(dir, "processes.json");
    await stopStale(readJson<readonly Entry[]>(path) ?? [], report, signal);
    removeStackFile(dir);
    return { dir, track: createLedger(path), release };
  } catch (error) {
    release();
    throw error;
  }
};

/** Takes the folder for this process; gives what returns it. */
const claim = (dir: string): (() => void) => {
  const path = join(dir, "owner.json");
  const owner = readJson<ProcessId>(path);
  if (owner && isAlive(owner)) throw alreadyRunning(dir, owner.pid);
  rmSync(path, { force: true });
  try {
    // Exclusive: of two that start in the same moment, one gets here second.
    writeFileSync(path, JSON.stringify(identify(process.pid)), { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if (existsSync(path)) throw alreadyRunning(dir, readJson<ProcessId>(path)?.pid);
    const whose = `${dir} cannot be written; does it belong to another user?`;
    throw fault("forbidden", whose, { cause });
  }
  return () => rmSync(path, { force: true });
};

const alreadyRunning = (dir: string, pid: number | undefined) => {
  const { services = {}, apps = {} } = readStackFile(dir) ?? {};
  const where = Object.entries({ ...apps, ...services }).map(
    ([name, { url }]) => `${name} at ${redacted(url)}`,
  );
  const what = where.length > 0 ? where.join(", ") : "it is still starting";
  return fault("already_running", `One is already running in this folder (pid ${pid}): ${what}`);
};

/** A ledger in a file: whoever kills us with SIGKILL leaves it behind. */
const createLedger = (path: string) => {
  const entries = new Map<number, Entry>();
  const save = () => writeJson(path, [...entries.values()]);
  save();
  return (child: Child): void => {
    const id = identify(child.pid);
    if (id === undefined) return;
    entries.set(child.pid, { ...id, name: child.name, stopSignal: child.stopSignal });
    save();
    void child.exited.then(() => {
      entries.delete(child.pid);
      if (existsSync(path)) save();
    });
  };
};

const ask = ({ pid, stopSignal }: Entry): void => {
  try {
    process.kill(pid, stopSignal);
  } catch {
    // It has ended in this moment.
  }
};

/** Stops what an earlier run could not: each is checked to be the very process it started. */
const stopStale = async (
  entries: readonly Entry[],
  report: Report,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const alive = entries.filter(isAlive);
  if (alive.length === 0) return;
  const names = alive.map((entry) => `${entry.name} (pid ${entry.pid})`).join(", ");
  report.say(`stopping ${names}, left behind by a run that was killed`);
  for (const entry of alive) ask(entry);
  const allGone = async () => (alive.some(isAlive) ? undefined : "gone");
  const wait = { what: "left-over processes to end", pollMs, signal };
  await waitFor({ ...wait, timeoutMs: stopStaleMs }, allGone).catch(async () => {
    signal?.throwIfAborted();
    for (const entry of alive.filter(isAlive)) signalGroup(entry.pid, "SIGKILL");
    await waitFor({ ...wait, timeoutMs: stopStaleMs }, allGone);
  });
};
