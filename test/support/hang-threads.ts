/** Threads of libuv's pool that hang in a native call, as those of a client may. */

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, open, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Gives what lets them go again. */
export const hangThreads = (count: number): (() => void) => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-hang-"));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  // open(2) waits for somebody who writes.
  for (let n = 0; n < count; n += 1) {
    open(pipe, "r", (_, file) => file !== undefined && closeSync(file));
  }
  return () => {
    closeSync(openSync(pipe, "r+"));
    rmSync(folder, { recursive: true, force: true });
  };
};
