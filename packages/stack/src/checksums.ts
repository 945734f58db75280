/** Lists of SHA-256 sums as `sha256sum` writes them, and folders checked against them. */

import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fault } from "@outrider/event";

/** Sum by file name. Throws Fault `checksum_mismatch` on a line that is none. */
export const parseChecksums = (text: string): ReadonlyMap<string, string> => {
  const sums = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [, sum, name] = /^([0-9a-f]{64}) [ *](\S+)$/.exec(line) ?? [];
    if (sum === undefined || name === undefined) {
      throw fault("checksum_mismatch", `This is not a line of a checksum list: ${line}`);
    }
    sums.set(name, sum);
  }
  return sums;
};

/**
 * Checks that `folder` holds exactly the files of `sums`. Throws Fault `checksum_mismatch` that
 * names the first file that is missing, that should not be there, or whose content differs.
 */
export const verifyFolder = async (
  folder: string,
  sums: ReadonlyMap<string, string>,
): Promise<void> => {
  const present = new Set(await readdir(folder));
  for (const name of present) {
    if (!sums.has(name)) throw fault("checksum_mismatch", `${name} is not on the checksum list.`);
  }
  for (const [name, sum] of sums) {
    if (!present.has(name)) throw fault("checksum_mismatch", `${name} is missing.`);
    const content = await readFile(join(folder, name));
    const actual = createHash("sha256").update(content).digest("hex");
    if (actual !== sum) {
      throw fault("checksum_mismatch", `${name} is not the file that Outrider was tested with.`, {
        details: { expected: sum, actual },
      });
    }
  }
};
