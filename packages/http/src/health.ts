/**
 * `/livez`: the process answers, and nothing has gone wrong that only a new process can mend; 503
 * where something has. `/readyz`: it can do its work; 503 when a check fails, and
 * `degraded` with 200 when only something is missing that it can do without for a while; with
 * `?verbose` a line each, in the form of Kubernetes' own. `/metrics`: for Prometheus.
 */

import { Hono } from "hono";
import { withDeadline } from "./deadline.ts";

/** Throws what is wrong; its message is shown. */
export type Check = () => void | Promise<void>;

export type HealthDeps = Readonly<{
  checks: Readonly<Record<string, Check>>;
  /** Whether the process still works at all: what has to wait for others is no part of it. */
  living?: Readonly<Record<string, Check>>;
  /** What the process can do without, slower. */
  degrading?: Readonly<Record<string, Check>>;
  /** Told in readiness answers: it says who has started this very process. */
  run?: string | undefined;
  /** A prom-client registry. */
  registry: Readonly<{ contentType: string; metrics(): Promise<string> }>;
}>;

/** The header of readiness answers that has `run`. */
const runHeader = "outrider-run";

const plainText = { "content-type": "text/plain; charset=utf-8" };

type Outcome = Readonly<{ name: string; durationMs: number; reason?: string }>;

/** `deadlineMs` is for each check. */
export const createHealth = (deps: HealthDeps, { deadlineMs = 2000 } = {}): Hono => {
  const watchAll = (checks: Readonly<Record<string, Check>> = {}) =>
    Object.entries(checks).map(([name, check]) => watch(name, check, deadlineMs));
  const [checks, degrading] = [watchAll(deps.checks), watchAll(deps.degrading)];
  const living = watchAll(deps.living);
  const app = new Hono();

  app.get("/livez", async (c) => {
    const outcomes = await runAll(living);
    if (isWell(outcomes)) return c.body("ok\n", 200, plainText);
    const lines = [...outcomes.map(lineOf), "livez check failed"].join("\n");
    return c.body(`${lines}\n`, 503, plainText);
  });

  app.get("/readyz", async (c) => {
    if (deps.run !== undefined) c.header(runHeader, deps.run);
    const [needed, wanted] = await Promise.all([runAll(checks), runAll(degrading)]);
    const ready = isWell(needed);
    const word = isWell(wanted) ? "ok" : "degraded";
    if (ready && c.req.query("verbose") === undefined) return c.body(`${word}\n`, 200, plainText);
    const passed = isWell(wanted) ? "passed" : "passed, degraded";
    const verdict = `readyz check ${ready ? passed : "failed"}`;
    const lines = [...needed, ...wanted].map(lineOf).concat(verdict).join("\n");
    return c.body(`${lines}\n`, ready ? 200 : 503, plainText);
  });

  app.get("/metrics", async (c) => {
    const { registry } = deps;
    return c.body(await registry.metrics(), 200, { "content-type": registry.contentType });
  });

  return app;
};

const runAll = (checks: readonly (() => Promise<Outcome>)[]): Promise<Outcome[]> =>
  Promise.all(checks.map((run) => run()));

const isWell = (outcomes: readonly Outcome[]): boolean =>
  outcomes.every((outcome) => outcome.reason === undefined);

const lineOf = ({ name, durationMs, reason }: Outcome): string =>
  reason === undefined
    ? `[+]${name} ok (${durationMs} ms)`
    : `[-]${name} failed (${durationMs} ms): ${reason}`;

/** A check that hangs is not started again: probes must not pile up on what is stuck. */
const watch = (name: string, check: Check, deadlineMs: number): (() => Promise<Outcome>) => {
  let running: Promise<string | undefined> | undefined;
  const start = (): Promise<string | undefined> =>
    Promise.resolve()
      .then(check)
      .then(() => undefined, reasonOf)
      .finally(() => (running = undefined));
  return async () => {
    const started = performance.now();
    running ??= start();
    const reason = await withDeadline(
      running,
      deadlineMs,
      async () => `no answer within ${deadlineMs} ms`,
    );
    const durationMs = Math.round(performance.now() - started);
    return { name, durationMs, ...(reason !== undefined && { reason }) };
  };
};

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : error.name;
  return error.message.split("\n")[0] || code;
};
