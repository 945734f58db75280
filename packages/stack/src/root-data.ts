/**
 * Root's databases, which lie outside of the checkouts that they belong to. Each has a mark that
 * says whose it is, so that one whose checkout is gone can be removed: nobody else ever would.
 */

import { createHash, randomUUID } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { readdirSync, realpathSync, renameSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readJson, writeJson } from "./json-file.ts";

export const systemDir = "/var/lib/outrider";

const markFile = "checkout.json";
/** Of folders that are being removed. */
const gonePrefix = "gone-";

/** `device` is that of the file system that the checkout lies on. */
type Mark = Readonly<{ checkout: string; device: number }>;

/** Where root keeps the data of the project whose state lies in `stateDir`. */
export const rootDataParent = (stateDir: string, system = systemDir): string => {
  const checkout = dirname(realpathSync(stateDir));
  const hash = createHash("sha256").update(checkout).digest("hex").slice(0, 12);
  return join(system, `${basename(checkout)}-${hash}`);
};

/** Makes that folder, which only root and the group of who runs Postgres can pass through. */
export const makeRootData = (stateDir: string, gid: number, system = systemDir): string => {
  const folder = rootDataParent(stateDir, system);
  mkdirSync(folder, { recursive: true });
  // Whatever root's umask is.
  chmodSync(system, 0o711);
  chownSync(folder, 0, gid);
  chmodSync(folder, 0o750);
  const checkout = dirname(realpathSync(stateDir));
  const mark: Mark = { checkout, device: statSync(checkout).dev };
  writeJson(join(folder, markFile), mark);
  return folder;
};

/** Removes the data of checkouts that are gone; gives their paths. */
export const removeAbandoned = async (system = systemDir): Promise<readonly string[]> => {
  const removed: string[] = [];
  for (const name of readdirSync(system)) {
    const folder = join(system, name);
    const mark = readJson<Mark>(join(folder, markFile));
    const isAbandoned = mark !== undefined && isGone(mark) && !isRunning(folder);
    if (!isAbandoned && !name.startsWith(gonePrefix)) continue;
    // In one step: a checkout that comes back at this moment begins with a folder of its own.
    const gone = join(system, `${gonePrefix}${randomUUID()}`);
    renameSync(folder, gone);
    await rm(gone, { recursive: true, force: true });
    if (mark && isAbandoned) removed.push(mark.checkout);
  }
  return removed;
};

/** A checkout on a disk that is not mounted at the moment is not gone. */
const isGone = ({ checkout, device }: Mark): boolean => {
  if (existsSync(checkout)) return false;
  let above = dirname(checkout);
  while (!existsSync(above) && above !== dirname(above)) above = dirname(above);
  return statSync(above).dev === device;
};

/** Whether a Postgres runs on the data, or may: another process may have its number by now. */
const isRunning = (folder: string): boolean => {
  try {
    const file = readFileSync(join(folder, "postgres", "postmaster.pid"), "utf8");
    process.kill(Number.parseInt(file, 10), 0);
    return true;
  } catch {
    return false;
  }
};
