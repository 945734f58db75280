/**
 * `outrider dev`: services, migrations, topics, apps, and then it stays until it is told to stop.
 * Whatever happens, everything it started is gone within ten seconds of the wish to stop.
 */

import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { isPortTaken, portTriesMax, probePort, removeStackFile } from "@outrider/stack";
import { startStackWithNode, writeStackFile } from "@outrider/stack";
import type { NodeBinary, Stack } from "@outrider/stack";
import { appEnv } from "./app-env.ts";
import { orDatabaseFault } from "./database-fault.ts";
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
    const key = await orDatabaseFault(makeDevKey(stack.services.postgres.url));
    await startOnFreePorts(context, { ...started, running, key });
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

type AppsJob = Readonly<{ stack: Stack; node: NodeBinary; running: RunningApp[]; key: string }>;

type AppPorts = Readonly<Record<string, number>>;

/** All of them anew where one finds its port taken: they are told each other's addresses. */
const startOnFreePorts = async (context: Context, job: AppsJob): Promise<void> => {
  const usual = Object.fromEntries(apps.map(({ name, port }) => [name, port]));
  let ports: AppPorts = await job.stack.choosePorts(usual);
  for (let tries = 1; ; tries += 1) {
    try {
      return await startApps(context, job, ports);
    } catch (error) {
      if (!isPortTaken(error) || tries === portTriesMax) throw error;
      context.report.say(`${(error as Error).message} The apps start again on free ones.`);
      const started = job.running.splice(0);
      await Promise.all(started.map(({ supervised }) => supervised.stop(stopAppsMs)));
      ports = { ...ports, ...(await replaceTaken(job.stack, ports)) };
    }
  }
};

const replaceTaken = async (stack: Stack, ports: AppPorts): Promise<AppPorts> => {
  const taken: Record<string, number> = {};
  for (const { name, port } of apps) {
    if ((await probePort(ports[name] ?? 0)) === undefined) taken[name] = port;
  }
  return stack.choosePorts(taken);
};

const startApps = async (context: Context, job: AppsJob, ports: AppPorts): Promise<void> => {
  const failed = new AbortController();
  const both = { ...context, signal: AbortSignal.any([context.signal, failed.signal]) };
  const starts = apps.map((spec) =>
    startApp(both, job, { spec, ports }).catch((error: unknown) => failed.abort(error)),
  );
  await Promise.all(starts);
  both.signal.throwIfAborted();
};

const startApp = async (
  context: Context,
  { stack, node, running, key }: AppsJob,
  { spec, ports }: Readonly<{ spec: AppSpec; ports: AppPorts }>,
): Promise<void> => {
  const startedMs = performance.now();
  const port = ports[spec.name] ?? spec.port;
  const url = `http://127.0.0.1:${port}`;
  const onRestart = () => {
    if (running.length === apps.length) writeState(stack, running, key);
  };
  const { report, signal } = context;
  const supervised = await supervise(
    { signal, report, onStart: stack.track, onRestart },
    {
      name: spec.name,
      command: spec.runtime === "node" ? node.path : context.bun,
      args: [...(spec.flags ?? []), join(context.root, spec.entry)],
      cwd: context.root,
      env: { ...envOf(context, stack, ports), PORT: String(port) },
      logFile: join(stack.stateDir, "logs", `${spec.name}.log`),
      port,
    },
  );
  running.push({ spec, url, supervised });
  const took = `ready in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  report.say(`${spec.name.padEnd(12)} ${took.padEnd(15)} ${url}`);
};

/** A given service is in the environment already; the apps read the same settings as we do. */
const envOf = ({ host, settings }: Context, { services }: Stack, ports: AppPorts) => ({
  ...appEnv(host.env),
  ...(!settings.databaseUrl && { DATABASE_URL: services.postgres.url }),
  ...(!settings.kafka && { KAFKA_BOOTSTRAP_SERVERS: services.kafka.url }),
  ...(!settings.redisUrl && { REDIS_URL: services.redis.url }),
  RECEIPTS_URL: `http://127.0.0.1:${ports.outside}`,
  OUTBOUND_ALLOWED_ORIGINS: `http://127.0.0.1:${ports.outside}`,
  CATALOGUE_MODULES: topicModules.join(","),
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
  const log = `${stack.stateDir}/logs/${dead.name}.log`;
  report.say(`${dead.name} has ended by itself; ${log} says:\n${dead.lastWords}`);
  report.say("Without it nothing goes on. Start again with `bun run dev`: all data are kept.");
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
