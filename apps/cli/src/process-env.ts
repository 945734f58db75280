/**
 * The environment of the command itself, which works on loopback and starts Node: what was set for
 * other programs must not redirect it. What it starts gets an environment of its own
 * (`ownEnv` of packages/stack, app-env.ts).
 */

import { isPostgresVariable, withoutProxyToLoopback } from "@outrider/stack";

type Variables = Record<string, string | undefined>;

/**
 * Changes `env`, that of this process. A variable such as PGTARGETSESSIONATTRS or PGPASSWORD counts
 * only beside a database that the user gives, and not for `dev`, whose apps do not have it.
 */
export const cleanEnv = (env: Variables, command: string | undefined): void => {
  const isGiven = env.DATABASE_URL !== undefined || env.OUTRIDER_SETTINGS !== undefined;
  const keepsPostgres = isGiven && command !== "dev";
  for (const name of Object.keys(env)) {
    if (isPostgresVariable(name) && !keepsPostgres) delete env[name];
  }
  // Options of a Node that is not ours; one that ours does not know would end it.
  delete env.NODE_OPTIONS;
  Object.assign(env, withoutProxyToLoopback(env));
};
