/** Small JSON files that are replaced as a whole, readable by their owner only. */

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** Replaces the file in one step: a reader sees the old content or the new, never a part. */
export const writeJson = (path: string, value: unknown): void => {
  const scratch = `${path}.${process.pid}`;
  writeFileSync(scratch, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  try {
    renameSync(scratch, path);
  } catch (error) {
    rmSync(scratch, { force: true });
    throw error;
  }
};

/** The content as `T`, or undefined when there is no such file or it is no JSON. */
export const readJson = <T>(path: string): T | undefined => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
};
