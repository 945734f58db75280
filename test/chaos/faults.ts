/** What goes wrong, one function for each kind. Each undoes itself before it resolves. */

import { setTimeout as delay } from "node:timers/promises";
import type { Sql } from "@outrider/postgres";
import type { Cluster } from "./cluster.ts";
import type { Fleet } from "./fleet.ts";
import { writeForeign } from "./foreign.ts";
import type { Service, Stage } from "./stage.ts";

export type FaultScene = Readonly<{
  stage: Stage;
  fleet: Fleet;
  workers: Fleet;
  /** Goes to Postgres directly. */
  sql: Sql;
  leaseTtlMs: number;
  /** How long frozen and silent parts stay so, and paused processes. */
  longMs: number;
  pauseMs: number;
  random(): number;
  /** Something that must hold while a fault lasts does not. */
  onViolation(detail: string): void;
}>;

export type Fault = (scene: FaultScene) => Promise<void>;

const pick = (scene: FaultScene): number => Math.floor(scene.random() * scene.fleet.size);

/** Parts that are away for longer than a lease must show in every relay's readiness. */
const assertNotReady = async ({ fleet, onViolation }: FaultScene, what: string): Promise<void> => {
  const ready = await fleet.readyCount();
  if (ready > 0) onViolation(`L5: ${ready} relays are ready while ${what}`);
};

/** A cluster's stage has no single broker, and the other way round. */
const brokerOf = ({ stage }: FaultScene): Service => stage.broker as Service;
const clusterOf = ({ stage }: FaultScene): Cluster => stage.cluster as Cluster;

const brokers = (scene: FaultScene): number[] => {
  const first = Math.floor(scene.random() * clusterOf(scene).size);
  return [first, (first + 1) % clusterOf(scene).size];
};

export const faultsOf = ({ cluster }: Stage): Readonly<Record<string, Fault>> => ({
  ...everywhere,
  ...onWorkers,
  ...onRedis,
  ...(cluster ? withCluster : withBroker),
});

const everywhere: Readonly<Record<string, Fault>> = {
  "relay killed": (scene: FaultScene) => scene.fleet.kill(pick(scene)),
  "relay stopped and started": async (scene: FaultScene) => {
    const { exitCode, durationMs } = await scene.fleet.restart(pick(scene));
    if (exitCode !== 0 || durationMs > 10_000) {
      scene.onViolation(`L3: a stop took ${durationMs.toFixed(0)} ms, exit code ${exitCode}`);
    }
  },
  "relay paused beyond its lease": (scene: FaultScene) =>
    scene.fleet.pause(pick(scene), scene.leaseTtlMs * 1.5),
  "relays killed again and again inside a lease": async (scene: FaultScene) => {
    for (const index of [0, 1, 0, 1, 0]) {
      await scene.fleet.kill(index);
      await delay(scene.random() * scene.leaseTtlMs * 0.7);
    }
  },
  "relay and worker paused for long": async (scene: FaultScene) => {
    const ms = scene.pauseMs;
    await Promise.all([scene.fleet.pause(pick(scene), ms), scene.workers.pause(worker(scene), ms)]);
  },
  "foreign records at every limit": ({ stage }: FaultScene) => writeForeign(stage.kafka),
  "connections ended by Postgres": async ({ sql }: FaultScene) => {
    await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name like 'outrider-%' or application_name = 'bank'`;
  },
  "Postgres connections reset": async ({ stage }: FaultScene) => stage.postgres.proxy.reset(),
  "Postgres connection reset at COMMIT": async ({ stage }: FaultScene) => {
    stage.postgres.proxy.resetAfter(/commit/i);
    await delay(300);
  },
  "Postgres connection reset at a settle": async ({ stage }: FaultScene) => {
    stage.postgres.proxy.resetAfter(/delete from outrider\.outbox|\{\d+(,\d+)*\}/);
    await delay(300);
  },
  "Postgres unreachable": async (scene: FaultScene) => {
    const { proxy } = scene.stage.postgres;
    await proxy.cut();
    await delay(scene.leaseTtlMs * 1.5);
    await assertNotReady(scene, "Postgres is unreachable");
    await proxy.restore();
  },
  "Postgres slow": async ({ stage }: FaultScene) => {
    stage.postgres.proxy.delay(40);
    await delay(1500);
    stage.postgres.proxy.delay(0);
  },
  "Postgres silent one way": async ({ stage, longMs }: FaultScene) => {
    stage.postgres.proxy.silence("from");
    await delay(Math.min(longMs, 4000));
    stage.postgres.proxy.silence(undefined);
  },
  "Postgres killed": ({ stage }: FaultScene) => stage.postgres.crash(200),
  "Postgres restarted": ({ stage }: FaultScene) => stage.postgres.restart(),
};

/** Long enough for claims, readers and group members to be given up. */
const workerAwayMs = 9000;

const worker = ({ random, workers }: FaultScene): number => Math.floor(random() * workers.size);

const onWorkers: Readonly<Record<string, Fault>> = {
  "worker killed": (scene: FaultScene) => scene.workers.kill(worker(scene)),
  "worker stopped and started": async (scene: FaultScene) => {
    const { exitCode, durationMs } = await scene.workers.restart(worker(scene));
    if (exitCode !== 0 || durationMs > 10_000) {
      scene.onViolation(`L3: a worker's stop took ${durationMs.toFixed(0)} ms, code ${exitCode}`);
    }
  },
  "worker paused beyond its claims": (scene: FaultScene) =>
    scene.workers.pause(worker(scene), workerAwayMs),
  "workers come and go": async (scene: FaultScene) => {
    for (const index of [0, 1, 0, 1]) {
      await scene.workers.kill(index);
      await delay(scene.random() * 2000);
    }
  },
};

const onRedis: Readonly<Record<string, Fault>> = {
  "Redis forgets everything": ({ stage }: FaultScene) => stage.redis.forget(),
  "Redis killed": ({ stage }: FaultScene) => stage.redis.crash(200),
  "Redis away": ({ stage, longMs }: FaultScene) => stage.redis.crash(Math.min(longMs, 20_000)),
  "Redis frozen": async ({ stage }: FaultScene) => {
    stage.redis.signal("SIGSTOP");
    await delay(4000);
    stage.redis.signal("SIGCONT");
  },
};

const withBroker: Readonly<Record<string, Fault>> = {
  "Kafka connections reset": async (scene: FaultScene) => brokerOf(scene).proxy.reset(),
  "Kafka connection reset at a produce request": async (scene: FaultScene) => {
    brokerOf(scene).proxy.resetAfter(/test\.counted/);
    await delay(300);
  },
  "Kafka unreachable": async (scene: FaultScene) => {
    const { proxy } = brokerOf(scene);
    await proxy.cut();
    await delay(scene.leaseTtlMs * 1.5);
    await assertNotReady(scene, "Kafka is unreachable");
    await proxy.restore();
  },
  "Kafka slow": async (scene: FaultScene) => {
    const { proxy } = brokerOf(scene);
    proxy.delay(40);
    await delay(1500);
    proxy.delay(0);
  },
  "Kafka silent one way": async (scene: FaultScene) => {
    const { proxy } = brokerOf(scene);
    proxy.silence("from");
    await delay(Math.min(scene.longMs, 4000));
    proxy.silence(undefined);
  },
  "broker frozen": async (scene: FaultScene) => {
    brokerOf(scene).signal("SIGSTOP");
    await delay(scene.longMs);
    brokerOf(scene).signal("SIGCONT");
  },
  "broker killed": (scene: FaultScene) => brokerOf(scene).crash(200),
  "broker restarted": (scene: FaultScene) => brokerOf(scene).restart(),
};

/** Long enough for leaders to move, and for replicas to leave the set that has to be in sync. */
const awayMs = 6000;

const withCluster: Readonly<Record<string, Fault>> = {
  "one broker of three killed": (scene: FaultScene) =>
    clusterOf(scene).crash(brokers(scene).slice(0, 1), awayMs),
  "two brokers of three killed": (scene: FaultScene) =>
    clusterOf(scene).crash(brokers(scene), awayMs),
  "a broker's disk full": (scene: FaultScene) =>
    clusterOf(scene).fillDisk(brokers(scene)[0] as number),
};
