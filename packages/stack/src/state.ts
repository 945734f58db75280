/**
 * The project's `.outrider` folder while somebody uses it: one user at a time, and a ledger of the
 * processes that were started, so that the next start can stop what a killed one left behind.
 * Throws Fault `already_running` with what runs, and where.
 */

import { chmodSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { signalGroup } from "./run.ts";
import type { Child } from "./child.ts";
import type { Host } from "./host.ts";
import { readJson, writeJson } from "./json-file.ts";
import { identify, isAlive } from "./process-id.ts";
import { notWritable } from "./not-writable.ts";
import type { ProcessId } from "./process-id.ts";
import type { Report } from "./report.ts";
import { redacted } from "./report.ts";
import { openPorts } from "./ports.ts";
import type { PortBook } from "./ports.ts";
import { serviceNames } from "./service.ts";
import { readStackFile, removeStackFile } from "./stack-file.ts";
import { waitFor } from "./wait.ts";

export type State = Readonly<{
  /** The `.outrider` folder. */
  dir: string;
  ports: PortBook;
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
  { host, report, signal }: Readonly<{ host: Host; report: Report; signal?: AbortSignal }>,
): Promise<State> => {
  const dir = join(root, ".outrider");
  makeOwn(dir, host);
  const unclaim = claim(dir);
  const ports = openPorts(dir);
  const release = () => {
    ports.close();
    unclaim();
  };
  try {
    const path = join(dir, "processes.json");
    await stopStale(readJson<readonly Entry[]>(path) ?? [], report, signal);
    removeStackFile(dir);
    return { dir, ports, track: createLedger(path), release };
  } catch (error) {
    release();
    throw error;
  }
};

/**
 * The folder holds passwords, data and logs, which are for its owner alone. Two users in turn would
 * leave files behind that the other one cannot replace, so root is refused, too.
 */
const makeOwn = (dir: string, { uid }: Host): void => {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const owner = statSync(dir).uid;
    if (uid !== undefined && owner !== uid) {
      const whose = `${dir} belongs to the user with the number ${owner}, and you are ${uid}`;
      throw fault("forbidden", `${whose}; start it as that user, or remove that folder.`);
    }
    chmodSync(dir, 0o700);
  } catch (cause) {
    throw notWritable(dir, cause, "start it in a checkout that you can write to");
  }
};

/** Takes the folder for this process; gives what returns it. */
const claim = (dir: string): (() => void) => {
  const path = join(dir, "owner.json");
  const owner = readJson<ProcessId>(path);
  if (owner && isAlive(owner)) throw alreadyRunning(dir, owner.pid);
  try {
    rmSync(path, { force: true });
    // Exclusive: of two that start in the same moment, one gets here second.
    writeFileSync(path, JSON.stringify(identify(process.pid)), { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if (existsSync(path)) throw alreadyRunning(dir, readJson<ProcessId>(path)?.pid);
    throw notWritable(dir, cause, "start it in a checkout that you can write to");
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

/**
 * Stops what an earlier run could not: each is checked to be the very process it started. The apps
 * come first, as in every stop: one that loses its services cannot leave its consumer group or give
 * its leases back, and the next start waits until they have run out.
 */
const stopStale = async (
  entries: readonly Entry[],
  report: Report,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const alive = entries.filter(isAlive);
  if (alive.length === 0) return;
  const names = alive.map((entry) => `${entry.name} (pid ${entry.pid})`).join(", ");
  report.say(`stopping ${names}, left behind by a run that was killed`);
  const isService = ({ name }: Entry) => serviceNames.some((one) => one === name);
  await endAll(
    alive.filter((entry) => !isService(entry)),
    signal,
  );
  await endAll(alive.filter(isService), signal);
};

const endAll = async (
  entries: readonly Entry[],
  signal: AbortSignal | undefined,
): Promise<void> => {
  for (const entry of entries) ask(entry);
  const allGone = async () => (entries.some(isAlive) ? undefined : "gone");
  const wait = { what: "left-over processes to end", pollMs, signal };
  await waitFor({ ...wait, timeoutMs: stopStaleMs }, allGone).catch(async () => {
    signal?.throwIfAborted();
    for (const entry of entries.filter(isAlive)) signalGroup(entry.pid, "SIGKILL");
    await waitFor({ ...wait, timeoutMs: stopStaleMs }, allGone);
  });
};
