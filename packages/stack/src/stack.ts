/**
 * The services that everything runs on: each one given by a URL, started with Docker, or embedded,
 * and ready when it has answered a real question. What `startStack` started, `stop` stops, within
 * ten seconds; when the start fails or is aborted, it has stopped everything before it throws.
 * Throws Faults: `already_running`, `missing_tool`, `checksum_mismatch`, `unavailable`, `timeout`,
 * `forbidden`; the signal's reason when aborted.
 */

import { fault, isFault } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import type { Child } from "./child.ts";
import { removeData } from "./data.ts";
import { createCompose, dockerDatabaseUrl, findCompose } from "./docker.ts";
import type { Compose, DockerPorts } from "./docker.ts";
import type { Host } from "./host.ts";
import { ensureJavaParts, sharedOnce } from "./java-parts.ts";
import type { EnsureJavaParts } from "./java-parts.ts";
import { startKafka } from "./kafka.ts";
import { waitForKafka } from "./kafka-ready.ts";
import { lastWords } from "./last-words.ts";
import { isPortTaken, portTaken, portTriesMax, saysTaken } from "./port-taken.ts";
import { servicePorts } from "./ports.ts";
import type { PortBook, Ports } from "./ports.ts";
import { startPostgres } from "./postgres.ts";
import { waitForPostgres } from "./postgres-ready.ts";
import { startRedis } from "./redis.ts";
import { waitForRedis } from "./redis-ready.ts";
import type { Report } from "./report.ts";
import { readyLine } from "./report.ts";
import type { EmbeddedJob, RunningService, ServiceName } from "./service.ts";
import { chooseSource } from "./source.ts";
import type { Source, Tier } from "./source.ts";
import { openState } from "./state.ts";
import type { State } from "./state.ts";

export type StackSettings = Readonly<{
  /** Given services are used as they are, and neither started nor stopped. */
  databaseUrl?: string;
  kafka?: KafkaConnection;
  redisUrl?: string;
  /** Preferred ports in place of the defaults; 0 is any free one. */
  ports?: Partial<Ports<keyof typeof servicePorts>>;
}>;

export type StackOptions = Readonly<{
  /** The folder whose `.outrider` holds the state: the project's, or a temporary one. */
  root: string;
  host: Host;
  settings: StackSettings;
  tier?: Tier;
  report: Report;
  signal?: AbortSignal;
  /** Throw the data of earlier runs away. */
  fresh?: boolean;
}>;

export type Service = Readonly<{ url: string; pid?: number }>;

export type Stack = Readonly<{
  services: Readonly<Record<ServiceName, Service>>;
  kafka: KafkaConnection;
  stateDir: string;
  /** Enters a process of the caller's into the ledger of what has to be gone before a restart. */
  track(child: Child): void;
  /** Ports on loopback for processes of the caller's. */
  choosePorts: PortBook["choose"];
  /** Resolves with the first service that ends before it is stopped, and its last words. */
  died: Promise<Death>;
  /** Ends the services softly, and hard after `killAfterMs` (8,000 when left out). */
  stop(killAfterMs?: number): Promise<void>;
  /** Stops, and throws the data away. */
  discard(): Promise<void>;
}>;

export type Death = Readonly<{ name: ServiceName; lastWords: string }>;

type Plan = Readonly<{
  options: StackOptions;
  state: State;
  sources: Readonly<Record<ServiceName, Source>>;
  compose: Compose | undefined;
  ports: Ports<keyof typeof servicePorts>;
  javaParts: EnsureJavaParts;
  signal: AbortSignal;
}>;

const stopMs = 8_000;
const givenTimeoutMs = 15_000;
const dockerTimeoutMs = 2 * 60_000;

export const startStack = async (options: StackOptions): Promise<Stack> => {
  const state = await openState(options.root, options);
  const failed = new AbortController();
  const signals = options.signal ? [options.signal, failed.signal] : [failed.signal];
  const running: RunningService[] = [];
  const stop = once<number>(async (killAfterMs = stopMs) => {
    await Promise.all(running.map((service) => service.stop(killAfterMs)));
    state.release();
  });
  try {
    const plan = await makePlan(options, state, AbortSignal.any(signals));
    const start = async (name: ServiceName): Promise<RunningService> => {
      try {
        const startedMs = performance.now();
        const service = await startOnFreePort(plan, name);
        running.push(service);
        options.report.say(readyLine(name, service, performance.now() - startedMs));
        return service;
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    };
    // Kafka before Redis: where both need the jars, the first one says how far they are.
    const starts = { postgres: start("postgres"), kafka: start("kafka"), redis: start("redis") };
    const { postgres, kafka, redis } = await allOrThrow(starts);
    return {
      services: { postgres: present(postgres), kafka: present(kafka), redis: present(redis) },
      kafka: options.settings.kafka ?? { bootstrapServers: kafka.url },
      stateDir: state.dir,
      track: state.track,
      choosePorts: state.ports.choose,
      died: Promise.race([
        diedOf("postgres", postgres),
        diedOf("kafka", kafka),
        diedOf("redis", redis),
      ]),
      stop,
      discard: async () => {
        await stop();
        await removeData({ stateDir: state.dir, host: options.host, compose: plan.compose });
      },
    };
  } catch (error) {
    await stop();
    options.signal?.throwIfAborted();
    // The others may have failed only because they were told to stop.
    throw failed.signal.aborted ? failed.signal.reason : error;
  }
};

const makePlan = async (
  options: StackOptions,
  state: State,
  signal: AbortSignal,
): Promise<Plan> => {
  const { host, settings, tier, root } = options;
  const given = {
    postgres: settings.databaseUrl,
    kafka: settings.kafka,
    redis: settings.redisUrl,
  };
  const isAllGiven = Object.values(given).every((one) => one !== undefined);
  const mayUseDocker = tier !== "embedded" && !isAllGiven;
  const command = mayUseDocker ? await findCompose(host) : undefined;
  const compose = command && createCompose(command, { host, root });
  const choose = (name: ServiceName) =>
    chooseSource({ isGiven: given[name] !== undefined, tier, hasDocker: compose !== undefined });
  const sources = {
    postgres: choose("postgres"),
    kafka: choose("kafka"),
    redis: choose("redis"),
  };
  if (options.fresh) await removeData({ stateDir: state.dir, host, compose });
  const ports = await state.ports.choose({ ...servicePorts, ...settings.ports });
  const javaParts = sharedOnce(ensureJavaParts);
  return { options, state, sources, compose, ports, javaParts, signal };
};

/** A service that finds its port taken by the time it listens moves on to another one. */
const startOnFreePort = async (plan: Plan, name: ServiceName): Promise<RunningService> => {
  const wanted = { ...servicePorts, ...plan.options.settings.ports };
  const own = (["postgres", "kafka", "kafkaController", "redis"] as const)
    .filter((port) => port.startsWith(name))
    .map((port) => [port, wanted[port]]);
  let ports = plan.ports;
  for (let tries = 1; ; tries += 1) {
    try {
      return await starters[name][plan.sources[name]]({ ...plan, ports });
    } catch (error) {
      if (!isPortTaken(error) || tries === portTriesMax) throw error;
      plan.options.report.say(`${name.padEnd(12)} ${(error as Error).message} It takes another.`);
      ports = { ...ports, ...(await plan.state.ports.choose(Object.fromEntries(own))) };
    }
  }
};

/** How each service is had from each source. */
const starters: Readonly<
  Record<ServiceName, Readonly<Record<Source, (plan: Plan) => Promise<RunningService>>>>
> = {
  postgres: {
    given: async ({ options, signal }) => {
      const url = options.settings.databaseUrl ?? "";
      await waitForPostgres(url, { timeoutMs: givenTimeoutMs, signal });
      return { url, edition: "given", stop: async () => {} };
    },
    docker: async (plan) => {
      const url = dockerDatabaseUrl(plan.ports.postgres);
      const stop = await composeUp(plan, "postgres");
      return readyOrStop({ url, edition: "docker", stop }, () =>
        waitForPostgres(url, { timeoutMs: dockerTimeoutMs, signal: plan.signal }),
      );
    },
    embedded: (plan) => startPostgres(embeddedJob(plan), plan.ports.postgres),
  },
  kafka: {
    given: async ({ options, signal }) => {
      const connection = options.settings.kafka ?? { bootstrapServers: "" };
      await waitForKafka(connection, { timeoutMs: givenTimeoutMs, signal });
      return { url: connection.bootstrapServers, edition: "given", stop: async () => {} };
    },
    docker: async (plan) => {
      const url = `127.0.0.1:${plan.ports.kafka}`;
      const stop = await composeUp(plan, "kafka");
      return readyOrStop({ url, edition: "docker", stop }, () =>
        waitForKafka(
          { bootstrapServers: url },
          { timeoutMs: dockerTimeoutMs, signal: plan.signal },
        ),
      );
    },
    embedded: (plan) => {
      const { kafka: broker, kafkaController: controller } = plan.ports;
      return startKafka(embeddedJob(plan), { broker, controller });
    },
  },
  redis: {
    given: async ({ options, signal }) => {
      const url = options.settings.redisUrl ?? "";
      await waitForRedis(url, { timeoutMs: givenTimeoutMs, signal });
      return { url, edition: "given", stop: async () => {} };
    },
    docker: async (plan) => {
      const url = `redis://127.0.0.1:${plan.ports.redis}`;
      const stop = await composeUp(plan, "redis");
      return readyOrStop({ url, edition: "docker", stop }, () =>
        waitForRedis(url, { timeoutMs: dockerTimeoutMs, signal: plan.signal }),
      );
    },
    embedded: (plan) => startRedis(embeddedJob(plan), plan.ports.redis),
  },
};

const embeddedJob = ({ options, state, javaParts, signal }: Plan): EmbeddedJob => ({
  host: options.host,
  report: options.report,
  stateDir: state.dir,
  signal,
  onStart: state.track,
  ensureJavaParts: javaParts,
});

const composeUp = async (plan: Plan, name: ServiceName): Promise<() => Promise<void>> => {
  const { compose, signal } = plan;
  if (!compose) throw fault("internal", "Docker was chosen without its command.");
  const step = plan.options.report.step(name);
  step.note("docker compose up");
  const ports: DockerPorts = plan.ports;
  const stop = () => compose.stop([name]);
  try {
    await compose.up([name], ports, signal);
    return stop;
  } catch (error) {
    await stop().catch(() => {});
    const words = isFault(error) ? String(error.details.output) : "";
    throw saysTaken(words) ? portTaken(name, ports[name], error) : error;
  } finally {
    step.end();
  }
};

const readyOrStop = async (
  service: RunningService,
  ready: () => Promise<void>,
): Promise<RunningService> => {
  try {
    await ready();
    return service;
  } catch (error) {
    await service.stop(stopMs);
    throw error;
  }
};

/** Waits for all of them, then throws the first failure: none may be left half-started. */
const allOrThrow = async (
  starts: Readonly<Record<ServiceName, Promise<RunningService>>>,
): Promise<Record<ServiceName, RunningService>> => {
  await Promise.allSettled(Object.values(starts));
  const { postgres, kafka, redis } = starts;
  return { postgres: await postgres, kafka: await kafka, redis: await redis };
};

const present = ({ url, pid }: RunningService): Service =>
  pid === undefined ? { url } : { url, pid };

const diedOf = async (name: ServiceName, service: RunningService): Promise<Death> => {
  // What runs elsewhere is not watched: the apps see it when it is gone.
  await (service.exited ?? new Promise(() => {}));
  return { name, lastWords: lastWords(service.log?.() ?? "") };
};

const once = <A>(work: (argument?: A) => Promise<void>): ((argument?: A) => Promise<void>) => {
  let result: Promise<void> | undefined;
  return (argument) => (result ??= work(argument));
};
