/** A folder to build something in before it is renamed into place beside it. */

import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { notWritable } from "./not-writable.ts";

/** What is older was left behind by a process that was killed. */
const abandonedMs = 24 * 60 * 60 * 1000;

/** Gives a new folder inside `parent` to `use`, and removes whatever is left of it. */
export const withScratch = async <T>(
  parent: string,
  prefix: string,
  use: (scratch: string) => Promise<T>,
): Promise<T> => {
  const scratch = await makeIn(parent, prefix).catch((cause: unknown) => {
    const nextStep = "free it, or name another folder for caches in XDG_CACHE_HOME";
    throw notWritable(parent, cause, nextStep);
  });
  try {
    return await use(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

const makeIn = async (parent: string, prefix: string): Promise<string> => {
  await mkdir(parent, { recursive: true });
  await sweep(parent, prefix);
  return mkdtemp(join(parent, prefix));
};

const sweep = async (parent: string, prefix: string): Promise<void> => {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const path = join(parent, name);
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > abandonedMs) {
      await rm(path, { recursive: true, force: true });
    }
  }
};
