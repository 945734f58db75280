/**
 * `outrider dev`: services, migrations, topics, apps, and then it stays until it is told to stop.
 * Whatever happens, everything it started is gone within ten seconds of the wish to stop.
 */

import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { choosePorts, removeStackFile, startStackWithNode, writeStackFile } from "@outrider/stack";
import type { NodeBinary, Stack } from "@outrider/stack";
import { makeDevKey } from "./dev-key.ts";
import type { Context } from "./main.ts";
import { applyMigrations } from "./migrate.ts";
import { apps, kafkaClientImporter, topicModules } from "./project.ts";
import type { AppSpec } from "./project.ts";
import { supervise } from "./supervisor.ts";
import type { Supervised } from "./supervisor.ts";
import { describe, loadTopics } from "./topics.ts";
import { welcome } from "./welcome.ts";

type RunningApp = Readonly<{ spec: AppSpec; url: string; supervised: Supervised }>;

/** Together under the ten seconds that stopping may take. */
const stopAppsMs = 5_500;
const stopServicesMs = 3_000;

/** Gives the exit code: 0 after a wish to stop, 1 when a service died. */
export const dev = async (
  context: Context,
  options: Readonly<{ fresh: boolean }>,
): Promise<number> => {
  const startedMs = performance.now();
  const running: RunningApp[] = [];
  let stack: Stack | undefined;
  try {
    const started = await startStackWithNode({ ...context, ...stackOptions(context), ...options });
    stack = started.stack;
    const migrated = applyMigrations({ ...context, url: stack.services.postgres.url });
    await orAborted(migrated, context.signal);
    await applyCatalogue(context, stack);
    const key = await makeDevKey(stack.services.postgres.url);
    await startApps(context, { ...started, running, key });
    writeState(stack, running, key);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    context.report.say(welcome(running, { seconds, stateDir: stack.stateDir, key }));
    return await untilStopped(context, stack);
  } catch (error) {
    if (!context.signal.aborted) throw error;
    return 0;
  } finally {
    await stopAll(context, running, stack);
  }
};

const stackOptions = ({ root, stateRoot, settings }: Context) => ({
  root: stateRoot,
  importer: join(root, kafkaClientImporter),
  settings: {
    databaseUrl: settings.databaseUrl,
    kafka: settings.kafka,
    redisUrl: settings.redisUrl,
  },
  tier: settings.outrider?.stack,
});

const applyCatalogue = async (context: Context, stack: Stack): Promise<void> => {
  const { root, report, signal } = context;
  const catalogue = { topics: await loadTopics(root), profile: "dev" as const };
  for (const plan of await applyTopics(stack.kafka, catalogue, { signal })) {
    if (plan.action === "keep") continue;
    for (const line of describe(plan, "apply")) report.say(`${"topics".padEnd(12)} ${line}`);
  }
};

const startApps = async (
  context: Context,
  job: Readonly<{ stack: Stack; node: NodeBinary; running: RunningApp[]; key: string }>,
): Promise<void> => {
  const { stack, node, running, key } = job;
  const wanted = Object.fromEntries(apps.map(({ name, port }) => [name, port]));
  const ports = await choosePorts(stack.stateDir, wanted);
  const failed = new AbortController();
  const signal = AbortSignal.any([context.signal, failed.signal]);
  await Promise.allSettled(
    apps.map(async (spec) => {
      const startedMs = performance.now();
      const url = `http://127.0.0.1:${ports[spec.name]}`;
      const supervised = await supervise(
        {
          signal,
          report: context.report,
          onStart: stack.track,
          onRestart: () => {
            if (running.length === apps.length) writeState(stack, running, key);
          },
        },
        {
          name: spec.name,
          command: spec.runtime === "node" ? node.path : context.bun,
          args: [...(spec.flags ?? []), join(context.root, spec.entry)],
          cwd: context.root,
          env: {
            ...appEnv(context, stack, ports[spec.name] ?? spec.port),
            RECEIPTS_URL: `http://127.0.0.1:${ports.outside}`,
            OUTBOUND_ALLOWED_ORIGINS: `http://127.0.0.1:${ports.outside}`,
            CATALOGUE_MODULES: topicModules.join(","),
          },
          logFile: join(stack.stateDir, "logs", `${spec.name}.log`),
          readyUrl: `${url}/readyz`,
        },
      ).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      });
      running.push({ spec, url, supervised });
      const took = `ready in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
      context.report.say(`${spec.name.padEnd(12)} ${took.padEnd(15)} ${url}`);
    }),
  );
  signal.throwIfAborted();
};

/** A given service is in the environment already; the apps read the same settings as we do. */
const appEnv = ({ host, settings }: Context, { services }: Stack, port: number) => ({
  ...host.env,
  ...(!settings.databaseUrl && { DATABASE_URL: services.postgres.url }),
  ...(!settings.kafka && { KAFKA_BOOTSTRAP_SERVERS: services.kafka.url }),
  ...(!settings.redisUrl && { REDIS_URL: services.redis.url }),
  PORT: String(port),
});

const writeState = (stack: Stack, running: readonly RunningApp[], key: string): void =>
  writeStackFile(stack.stateDir, {
    services: stack.services,
    apps: Object.fromEntries(
      running.map(({ spec, url, supervised }) => {
        const state = { url, pid: supervised.pid(), ...(spec.isGuarded && { key }) };
        return [spec.name, state];
      }),
    ),
  });

/** Waits for work that cannot be aborted itself, such as for a lock that somebody else holds. */
const orAborted = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  signal.throwIfAborted();
  return Promise.race([work, aborted(signal).then(() => Promise.reject(signal.reason))]);
};

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });

const untilStopped = async ({ signal, report }: Context, stack: Stack): Promise<number> => {
  const dead = await Promise.race([aborted(signal), stack.died]);
  if (dead === undefined) return 0;
  report.say(`${dead} has ended by itself; its log is ${stack.stateDir}/logs/${dead}.log`);
  return 1;
};

const stopAll = async (
  { report }: Context,
  running: readonly RunningApp[],
  stack: Stack | undefined,
): Promise<void> => {
  if (!stack) return;
  const startedMs = performance.now();
  removeStackFile(stack.stateDir);
  await Promise.all(running.map(({ supervised }) => supervised.stop(stopAppsMs)));
  await stack.stop(stopServicesMs);
  report.say(`stopped in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
};
