/** A page that a command has written reads as one that a person has. */

import { spawnSync } from "node:child_process";

export const formatPage = (path: string): void => {
  spawnSync(process.execPath, ["fmt", "--no-script", "--print-width=100", path]);
};
