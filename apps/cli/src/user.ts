/** Who runs the command, as the audit has it. */

import { readFileSync } from "node:fs";
import { userInfo } from "node:os";

/** Bun takes the name from USER, which a container or a cron job need not have. */
export const userName = (
  { username, uid }: Readonly<{ username: string; uid: number }> = userInfo(),
  readUsers = () => readFileSync("/etc/passwd", "utf8"),
): string => {
  if (username !== "" && username !== "unknown") return username;
  return nameOf(uid, readUsers) ?? `uid ${uid}`;
};

const nameOf = (uid: number, readUsers: () => string): string | undefined => {
  try {
    const fields = readUsers()
      .split("\n")
      .map((line) => line.split(":"));
    return fields.find(([, , id]) => id === String(uid))?.[0];
  } catch {
    return undefined;
  }
};
