/**
 * Turns everything that asks this process to end into one abort. Some of it arrives twice (a
 * terminal's Ctrl-C reaches both the script runner and us, and the runner passes it on), so a
 * second signal is not taken for impatience; stopping has a deadline of its own.
 *
 * A script runner that dies without passing anything on (npx does that on SIGTERM, anything does
 * on SIGKILL) is noticed by its absence.
 */

import { commandOf, parentOf } from "@outrider/stack";
import type { Env } from "@outrider/stack";

const pollMs = 300;

export const abortOnStop = (env: Env): AbortSignal => {
  const controller = new AbortController();
  const stop = (why: string) => controller.abort(new Error(`stopped by ${why}`));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => stop(signal));
  }
  const runners = findRunners(env);
  if (runners.length > 0) {
    const timer = setInterval(() => {
      if (runners.every(({ child, parent }) => parentOf(child) === parent)) return;
      clearInterval(timer);
      stop("the end of the command that started this");
    }, pollMs);
    timer.unref();
  }
  return controller.signal;
};

type Link = Readonly<{ child: number; parent: number }>;

const generationsMax = 6;
const isRunner = (command: string): boolean => /^(\S*\/)?(npm|npx|bunx?)(\.exe)?\s/.test(command);
const isShell = (command: string): boolean => /^(\S*\/)?(sh|dash|bash|zsh) -c /.test(command);

/** The links up to the last script runner above us: `bun run`, npx, the shell between them. */
const findRunners = (env: Env): readonly Link[] => {
  // Bun and npm set this for what they run; without it, nobody stands above us who matters.
  if (!env.npm_lifecycle_event) return [];
  const links: Link[] = [];
  let runners = 0;
  let child = process.pid;
  while (links.length < generationsMax) {
    const parent = parentOf(child);
    if (parent === undefined || parent <= 1) break;
    const command = commandOf(parent);
    links.push({ child, parent });
    if (isRunner(command)) runners = links.length;
    else if (!isShell(command)) break;
    child = parent;
  }
  return links.slice(0, runners);
};
