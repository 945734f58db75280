/**
 * What the stack needs to know about the machine it runs on, gathered once by an entry file and
 * passed around as a value, so that nothing else here asks the process or its environment.
 */

import { accessSync, constants, existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";

export type Env = Readonly<Record<string, string | undefined>>;

export type Host = Readonly<{
  platform: NodeJS.Platform;
  arch: string;
  /** The environment that child processes start from. */
  env: Env;
  /** Number of the user who runs us, where users have one. */
  uid: number | undefined;
  /** True when the process may do anything, as in most containers. */
  isRoot: boolean;
  /** True on Debian and its children, where apt-get installs what is missing. */
  isDebian: boolean;
  /** The user's cache of what is downloaded or compiled: survives clones of the project. */
  cacheDir: string;
}>;

/** Describes this machine to the stack; `env` is the environment of the entry file. */
export const describeHost = (env: Env): Host => {
  // The XDG base directory specification: a relative path there is to be ignored.
  const cacheHome =
    env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)
      ? env.XDG_CACHE_HOME
      : join(env.HOME || homedir(), ".cache");
  return {
    platform: process.platform,
    arch: process.arch,
    env,
    uid: process.getuid?.(),
    isRoot: process.getuid?.() === 0,
    isDebian: existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get"),
    cacheDir: join(cacheHome, "outrider"),
  };
};

/** The path of `command` on the host's PATH, or undefined. */
export const findCommand = (host: Host, command: string): string | undefined => {
  for (const folder of (host.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, command);
    if (folder !== "" && isExecutable(path)) return path;
  }
  return undefined;
};

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
