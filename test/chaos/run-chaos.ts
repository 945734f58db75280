/** One run: a workload, faults, and what the checker says of the history. */

import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { applyTopics, readTopic } from "@outrider/broker";
import { deadLetterTopic, defineTopic, headerTexts } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { connect } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import type { Sql } from "@outrider/postgres";
import { apps } from "../../apps/cli/src/project.ts";
import { checkLog, countDuplicates } from "../checker/check-log.ts";
import { logRecordOf, readCommits, recordCommits } from "../e2e/observer.ts";
import { seededRandom } from "../e2e/workload.ts";
import { deployedVariable } from "../support/chaos-handlers.ts";
import { makeHostile } from "../support/hostile-settings.ts";
import { changeTopic } from "../support/topic-settings.ts";
import { until } from "../support/until.ts";
import { createAccounts, startBank } from "./bank.ts";
import type { BankCounts } from "./bank.ts";
import { afterDecisions, checkAccounts, checkInnocence, readLetters } from "./decisions.ts";
import { faultsOf } from "./faults.ts";
import type { FaultScene } from "./faults.ts";
import { startFleet } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { checkForeign, foreignIdsOf, isForeign } from "./foreign.ts";
import { checkHandlers, countUndecided, createEffects } from "./handled.ts";
import { startOperator } from "./operator.ts";
import type { OperatorCounts } from "./operator.ts";
import { startStage } from "./stage.ts";

export type ChaosOptions = Readonly<{
  seed: number;
  seconds: number;
  /** How long late committers hold their transaction, and frozen parts stay frozen. */
  lateMs: number;
  longMs: number;
  /** How long paused processes stay so: longer than leases, claims and sessions last. */
  pausedMs: number;
  env: Readonly<Record<string, string | undefined>>;
  brokers: 1 | 3;
  /** Pause of each writer between two transactions. */
  pauseMs?: number;
  /** Goes on for longer where the time was too short for so many kinds of those that there are. */
  kindsMin?: number;
  /** Kinds of faults that are left out, by name. */
  without?: RegExp;
  say(line: string): void;
}>;

type FaultCounts = Readonly<Record<string, number>>;

export type ChaosReport = Readonly<{
  seed: number;
  seconds: number;
  brokers: number;
  faults: FaultCounts;
  bank: Readonly<BankCounts>;
  operator: Readonly<OperatorCounts>;
  committed: number;
  records: number;
  duplicates: number;
  drainMs: number;
  effects: number;
  /** Of the workers' groups. */
  protocol: string;
  workerRssMaxBytes: number;
  /** Workers that events have killed. */
  workerDeaths: number;
  relayRssMaxBytes: number;
  violations: readonly string[];
}>;

const topics = { ordinary: "bank-accounts", small: "bank-small" };
const smallTopicBytes = 10_000;
const batchMax = 200;
const leaseTtlMs = 2000;
const relays = 2;
const workers = 2;
const protocols = ["consumer", "classic:cooperative-sticky", "classic:range"];
/**
 * What a process may need at most; far above what it does need, far below growing. A worker's heap
 * alone may have 600 MiB, by its flags, and does when it has been paused for long: up to 3,000
 * records of each partition wait in it then.
 */
const rssLimitBytes = { relay: 700 * 1024 * 1024, worker: 900 * 1024 * 1024 } as const;
const folderOf = () => mkdtempSync(join(tmpdir(), "outrider-chaos-"));

export const runChaos = async (options: ChaosOptions): Promise<ChaosReport> => {
  const { seed, brokers, say } = options;
  const folder = folderOf();
  const logFolder = join(folder, "logs");
  mkdirSync(logFolder);
  const stage = await startStage(folder, options);
  const sql = connect({ url: stage.postgres.directUrl, name: "chaos", poolMax: 4 });
  const violations: string[] = [];
  try {
    await prepare(sql, stage);
    const fleets = await startFleets(stage, logFolder, options);
    const { fleet } = fleets;
    try {
      const allReady = async () => (await fleet.readyCount()) === relays;
      await until(allReady, { what: "the relays", timeoutMs: 90_000, pollMs: 100 });
      const random = seededRandom(seed);
      const bank = startBank({
        ...options,
        url: stage.postgres.url,
        topic: topics.ordinary,
        smallTopic: topics.small,
        random: seededRandom(seed + 1),
        writers: 6,
        pauseMs: options.pauseMs ?? 20,
      });
      const operator = startOperator(sql, seededRandom(seed + 2));
      const { longMs, pausedMs: pauseMs } = options;
      const scene = { stage, ...fleets, sql, leaseTtlMs, longMs, pauseMs, random };
      const onViolation = (detail: string) => void violations.push(detail);
      const injected = await inject({ ...scene, onViolation }, options);
      say("the faults are over: draining");
      await bank.stop();
      await operator.stop();
      const startedMs = performance.now();
      await drain(sql, operator.finish, allReady).catch((error: unknown) => {
        violations.push(`L1: ${(error as Error).message}`);
      });
      const drainMs = performance.now() - startedMs;
      const handled = await handleRest({ sql, stage, fleet: fleets.workers }, operator.finish);
      violations.push(...handled.violations);
      const history = await checkHistory(sql, stage.kafka.bootstrapServers, injected);
      violations.push(...history.violations);
      if (violations.length > 0) await keepEvidence(sql, stage, logFolder);
      if (fleet.rssMax() > rssLimitBytes.relay)
        violations.push("L4: a relay needs too much memory");
      if (fleets.workers.rssMax() > rssLimitBytes.worker) violations.push("L4: a worker, too");
      return {
        ...{ seed, seconds: options.seconds, brokers, faults: injected, bank: bank.counts },
        ...{ operator: operator.counts, drainMs, relayRssMaxBytes: fleet.rssMax() },
        ...{ effects: handled.effects, protocol: protocolOf(seed) },
        ...{ workerRssMaxBytes: fleets.workers.rssMax(), workerDeaths: fleets.workers.deaths() },
        ...history,
        violations,
      };
    } finally {
      await Promise.all([fleet.stop(), fleets.workers.stop()]);
    }
  } finally {
    await sql.end({ timeout: 1 });
    await stage.stop();
    if (violations.length === 0) rmSync(folder, { recursive: true, force: true });
    else say(`logs and evidence are in ${folder}`);
  }
};

/** So that every one is run now and then. */
const protocolOf = (seed: number): string => protocols[seed % protocols.length] as string;

const startFleets = async (
  stage: Stage,
  logFolder: string,
  { env, seed }: ChaosOptions,
): Promise<Readonly<{ fleet: Fleet; workers: Fleet }>> => {
  const ofAll = {
    ...env,
    DATABASE_URL: stage.postgres.url,
    KAFKA_BOOTSTRAP_SERVERS: stage.kafka.bootstrapServers,
    LOG_LEVEL: "warn",
  };
  const { nodePath } = stage;
  const fleet = await startFleet({
    ...{ name: "relay", entry: "apps/relay/src/main.ts", size: relays, nodePath, logFolder },
    env: {
      ...ofAll,
      RELAY_LEASE_TTL_MS: String(leaseTtlMs),
      RELAY_BATCH_MAX: String(batchMax),
    },
  });
  const ofWorkers = await startFleet({
    ...{ name: "worker", entry: "test/support/chaos-worker.ts", size: workers },
    ...{ nodePath, logFolder, flags: apps.find((app) => app.name === "shop-worker")?.flags ?? [] },
    env: { ...ofAll, CHAOS_PROTOCOL: protocolOf(seed), REDIS_URL: stage.redis.url },
  });
  return { fleet, workers: ofWorkers };
};

type Stage = Awaited<ReturnType<typeof startStage>>;

const prepare = async (sql: Sql, { postgres, kafka, cluster }: Stage): Promise<void> => {
  await migrateAll({ url: postgres.directUrl, folder: join(import.meta.dirname, "../../drizzle") });
  await makeHostile(postgres.directUrl);
  await recordCommits(sql);
  await createAccounts(sql);
  await createEffects(sql);
  const ordinary = defineTopic({ name: topics.ordinary, partitions: 6, retentionMs: 3_600_000 });
  const small = defineTopic({ name: topics.small, partitions: 2 });
  // Of three brokers all have to be there for the one topic, and two for the other.
  const minInSyncReplicas = { dev: 1, production: 3 };
  const topicsOfRun = [
    ordinary,
    deadLetterTopic(ordinary),
    { ...small, maxMessageBytes: smallTopicBytes, minInSyncReplicas },
  ];
  await applyTopics(kafka, { topics: topicsOfRun, profile: cluster ? "production" : "dev" });
  // The harder case: what the producer says is the record's time, by which Kafka deletes.
  await changeTopic(topics.ordinary, { "message.timestamp.type": "CreateTime" }, kafka);
};

/** Injects faults until the time is over; now and then two at once. */
const inject = async (
  scene: FaultScene,
  { seconds, without, kindsMin = 0, say }: ChaosOptions,
): Promise<FaultCounts> => {
  const { random, stage } = scene;
  const faults = faultsOf(stage);
  const kinds = Object.keys(faults).filter((kind) => !without?.test(kind));
  const counts: Record<string, number> = {};
  // Each kind once before any comes again.
  let left: string[] = [];
  const draw = (): string => {
    if (left.length === 0) left = [...kinds];
    return left.splice(Math.floor(random() * left.length), 1)[0] as string;
  };
  /** Two faults of one service at once would undo each other: the second one comes later. */
  const fitting = (one: string, other: string): string[] => {
    if (serviceOf(one) !== serviceOf(other)) return [one, other];
    left.push(other);
    return [one];
  };
  const endMs = performance.now() + seconds * 1000;
  const isOver = (): boolean =>
    performance.now() >= endMs && Object.keys(counts).length >= Math.min(kindsMin, kinds.length);
  while (!isOver()) {
    const isMixed = random() < 0.25;
    const chosen = isMixed ? fitting(draw(), draw()) : [draw()];
    for (const kind of chosen) counts[kind] = (counts[kind] ?? 0) + 1;
    const leftS = Math.max(0, (endMs - performance.now()) / 1000).toFixed(0);
    say(`${leftS.padStart(5)} s left: ${chosen.join(" + ")}`);
    const outcomes = await Promise.allSettled(chosen.map((kind) => faults[kind]?.(scene)));
    for (const one of outcomes) {
      if (one.status === "rejected") scene.onViolation(`a fault failed: ${String(one.reason)}`);
    }
    await delay(300 + random() * 900);
  }
  return counts;
};

const serviceOf = (kind: string): string =>
  ["relay", "worker", "Redis", "Postgres"].find((name) => kind.includes(name)) ?? "Kafka";

/** Within 30 s and what the backlog needs at 1,000 events a second. */
const drain = async (
  sql: Sql,
  decideAll: () => Promise<void>,
  allReady: () => Promise<boolean>,
): Promise<void> => {
  const waiting = async (): Promise<number> => {
    const [row] = await sql<{ count: number }[]>`
      select ((select count(*) from outrider.outbox) + (select count(*) from outrider.outbox_held)
        + (select count(*) from outrider.blocked))::int as count`;
    return row?.count ?? -1;
  };
  const backlog = await waiting();
  const timeoutMs = 30_000 + backlog;
  const isDrained = async () => {
    await decideAll();
    return (await waiting()) === 0;
  };
  await until(isDrained, { what: `the end of a backlog of ${backlog}`, timeoutMs, pollMs: 200 });
  await until(allReady, { what: "every relay's readiness", timeoutMs: 30_000, pollMs: 200 });
};

/** The workers' share: everything that is in Kafka gets an outcome, and operators have decided. */
const handleRest = async (
  { sql, stage: { kafka }, fleet }: Readonly<{ sql: Sql; stage: Stage; fleet: Fleet }>,
  decideAll: () => Promise<void>,
) => {
  const records = await readTopic(kafka, topics.ordinary);
  const log = records.filter((record) => !isForeign(record)).map(handledEventOf);
  const events = [...new Map(log.map((event) => [event.id, event])).values()];
  const violations = await checkUnknown(sql);
  await fleet.deploy({ [deployedVariable]: "yes" });
  const undecided = await countUndecided(sql, events);
  const isDone = async () => {
    await decideAll();
    return (await countUndecided(sql, events)) === 0;
  };
  // Suspects run one by one, and the machine may be busy.
  const timeoutMs = 120_000 + undecided * 5;
  await until(isDone, { what: "an outcome for every event", timeoutMs, pollMs: 500 }).catch(
    (error: unknown) => void violations.push(`L1, L2: ${(error as Error).message}`),
  );
  violations.push(...(await checkHandlers(sql, events, foreignIdsOf(records))));
  violations.push(...(await checkForeign(sql, records)));
  const [row] = await sql<{ count: number }[]>`select count(*)::int from public.effects`;
  return { violations, effects: row?.count ?? 0 };
};

/** What no worker knows is neither handled nor given up, whatever has happened. */
const checkUnknown = async (sql: Sql): Promise<string[]> => {
  const rows = await sql<{ id: string; state: string }[]>`
    select e.id::text, i.state from public.committed_events e
    join outrider.inbox i on i.event_id = e.id
    where e.key like 'newer-%' and e.sequence = 2 and i.state <> 'parked'`;
  return rows.map(({ id, state }) => `an event of an unknown version is ${state}: ${id}`);
};

const handledEventOf = (record: KafkaRecord) => {
  const { ce_id: id = "", ce_sequence: sequence } = headerTexts(record.headers);
  return { id, key: String(record.key), sequence: Number(sequence) };
};

/** Everything that is needed to find out how it came. */
const keepEvidence = async (sql: Sql, { kafka }: Stage, folder: string): Promise<void> => {
  const letters = await sql`select * from outrider.dead_letters order by id`;
  const committed = await readCommits(sql);
  const logs = await Promise.all(
    Object.values(topics).map(async (topic) => (await readTopic(kafka, topic)).map(logRecordOf)),
  );
  const tables: Record<string, unknown> = {};
  for (const name of ["inbox", "parked", "parked_heads", "breakers", "readers", "watermarks"]) {
    tables[name] = await sql`select * from outrider.${sql(name)}`;
  }
  const effects = await sql`select * from public.effects order by position`;
  const evidence = JSON.stringify({ letters, committed, logs: logs.flat(), effects, tables });
  writeFileSync(join(folder, "evidence.json"), evidence);
  // The brokers' own files say which producer has written what.
  const state = join(folder, "../.outrider");
  for (const name of readdirSync(state).filter((one) => one.startsWith("kafka"))) {
    cpSync(join(state, name), join(folder, name), { recursive: true });
  }
};

const checkHistory = async (sql: Sql, bootstrapServers: string, injected: FaultCounts) => {
  const letters = await readLetters(sql);
  const violations = await checkAccounts(sql);
  let records = 0;
  let duplicates = 0;
  for (const topic of Object.values(topics)) {
    const committed = afterDecisions(await readCommits(sql, topic), letters);
    const all = await readTopic({ bootstrapServers }, topic);
    const log = all.filter((record) => !isForeign(record)).map(logRecordOf);
    records += log.length;
    duplicates += countDuplicates(log);
    for (const one of checkLog({ committed, rolledBack: new Set(), log })) {
      violations.push(`${one.kind} ${one.subject} in ${topic}: ${one.detail}`);
    }
  }
  violations.push(...checkInnocence(letters, smallTopicBytes));
  const faultCount = Object.values(injected).reduce((sum, count) => sum + count, 0);
  const duplicatesMax = (faultCount + letters.length) * 8 * 2 * batchMax;
  if (duplicates > duplicatesMax) violations.push(`S5: ${duplicates} duplicates`);
  const committed = (await readCommits(sql)).length;
  return { committed, records, duplicates, violations };
};
