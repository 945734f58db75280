/** Tests that need a program which the project does not bring along, such as `promtool`. */

import { test } from "bun:test";
import { delimiter } from "node:path";
import { describeHost, findCommand } from "@outrider/stack";
import { testEnvironment } from "./environment.ts";

/** Servers of Debian lie where only root's PATH looks. */
const more = ["/usr/sbin", "/usr/local/sbin"];

const pathOf = (name: string): string | undefined => {
  const env = testEnvironment();
  const PATH = [env.PATH, ...more].join(delimiter);
  return findCommand(describeHost({ ...env, PATH }), name);
};

/**
 * A test that is given the path of the program. Where it is missing the test is skipped, and
 * `bun run test` names it among those.
 */
export const testWithTool =
  (tool: string) =>
  (name: string, run: (path: string) => Promise<void>, timeoutMs?: number): void => {
    const path = pathOf(tool);
    const named = `${name} (needs ${tool})`;
    test.skipIf(path === undefined)(named, () => run(path ?? ""), timeoutMs);
  };
