/**
 * The environment of what is started here. It is made of the variables below and nothing else:
 * whoever starts the stack may have set variables for other programs (NODE_OPTIONS,
 * JAVA_TOOL_OPTIONS, PGHOST, HOST, HTTP_PROXY, LC_ALL) that would change what runs.
 * Tools that fetch and build (Maven, apt-get, Docker, node-gyp) get the user's own environment,
 * since proxies and mirrors are set there.
 */

import type { Env } from "./host.ts";

/** Of the machine and its user. */
const fromHost = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH"] as const;

/** The same on every machine. C.UTF-8, since Java finds no file outside of ASCII otherwise. */
const fixed = { LC_ALL: "C.UTF-8", TZ: "UTC" } as const;

/** Takes from `env` what is `allowed`, where it is set. */
export const pickEnv = (env: Env, allowed: readonly (string | RegExp)[]): Env =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) =>
      allowed.some((one) => (typeof one === "string" ? one === name : one.test(name))),
    ),
  );

/** For every process that is started here. */
export const ownEnv = (env: Env): Env => ({ ...pickEnv(env, fromHost), ...fixed });

/** Of programs on loopback, which no proxy reaches. */
const loopback = ["127.0.0.1", "localhost", "[::1]"] as const;

/** `env` with a NO_PROXY that has loopback in it, under both of its names. */
export const withoutProxyToLoopback = (env: Env): Env => {
  const known = (env.NO_PROXY ?? env.no_proxy ?? "").split(",").filter((name) => name !== "");
  if (known.includes("*")) return env;
  const all = [...new Set([...known, ...loopback])].join(",");
  return { ...env, NO_PROXY: all, no_proxy: all };
};

/** What the driver of Postgres would take in place of what a URL says. */
export const isPostgresVariable = (name: string): boolean => /^PG[A-Z_]+$/.test(name);
