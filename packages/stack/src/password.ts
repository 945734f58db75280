/** Passwords of a project folder's own: other users of the machine reach loopback, too. */

import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";

/** What the file holds, which only its owner can read; made where it is missing. */
export const ensurePassword = async (path: string): Promise<string> => {
  const known = await readFile(path, "utf8").catch(() => undefined);
  if (known) return known.trim();
  // It goes into URLs and settings files as it is.
  const password = randomBytes(18).toString("base64url");
  await writeFile(path, `${password}\n`, { mode: 0o600 });
  return password;
};
