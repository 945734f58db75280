/**
 * A worker that is stopped for longer than its session, again and again, while events come: with
 * each of the group protocols, all of them at the same time, and a second worker beside it.
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import { choosePort, startChild } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { startStage } from "../chaos/stage.ts";
import { until } from "../support/until.ts";
import type { Drill, DrillContext } from "./drill.ts";
import { startSending } from "./sending.ts";

const protocols = {
  consumer: "KIP-848 (`consumer`)",
  "classic:cooperative-sticky": "classic, cooperative-sticky",
  "classic:range": "classic, range",
} as const;
const pauseCount = 5;
const pauseMs = 70_000;
const handledMaxMs = 60_000;
const readyMaxMs = 60_000;
const probeMaxMs = 1000;
const stopMaxMs = 10_000;
/** Node's own number: four that hang, and nothing works any more. */
const poolThreads = 4;
/** Longer than a call may be out in a worker of the drill before it counts as dead. */
const settleMs = 15_000;
const partitions = 4;
const eventsPerS = 10;
const handlersPerEvent = 2;

type Worker = Readonly<{ child: Child; port: number }>;

type Scene = Readonly<{
  stage: Awaited<ReturnType<typeof startStage>>;
  sql: Sql;
  context: DrillContext;
}>;

export const pauses: Drill = {
  what: `a worker that is stopped for ${pauseMs / 1000} s ${pauseCount} times in a row (8 minutes)`,
  run: async (context) => {
    const stage = await startStage(context.folder, { env: context.env, brokers: 1 });
    const { directUrl: url } = stage.postgres;
    const sql = connect({ url, name: "drill", poolMax: 4 });
    try {
      await migrateAll({ url, folder: join(import.meta.dirname, "../../drizzle") });
      await sql`create table public.effects (handler text, event_id uuid)`;
      const rows = await Promise.all(
        Object.keys(protocols).map((protocol) => runOne({ stage, sql, context }, protocol)),
      );
      return report(rows);
    } finally {
      await sql.end({ timeout: 1 });
      await stage.stop();
    }
  },
};

type Seen = Readonly<{ handledMs: number; readyMs: number; probeMs: number }>;
type Row = {
  protocol: string;
  events: number;
  seen: Seen[];
  stopMs: number[];
  failures: string[];
};

const runOne = async (scene: Scene, protocol: string): Promise<Row> => {
  const { stage, sql, context } = scene;
  const topic = `drill-${protocol.replace(":", "-")}`;
  await applyTopics(stage.kafka, {
    topics: [defineTopic({ name: topic, partitions })],
    profile: "dev",
  });
  const row: Row = { protocol, events: 0, seen: [], stopMs: [], failures: [] };
  const start = (index: number) => startWorker(scene, { protocol, topic, index });
  const [paused, other] = (await Promise.all([start(0), start(1)])) as [Worker, Worker];
  const sending = await startSending(stage.kafka, topic, eventsPerS);
  try {
    await until(() => isWell(paused.port), { what: `${protocol}: a worker`, timeoutMs: 60_000 });
    for (let round = 1; round <= pauseCount; round += 1) {
      process.kill(paused.child.pid, "SIGSTOP");
      await delay(pauseMs);
      process.kill(paused.child.pid, "SIGCONT");
      row.seen.push(await afterPause({ sql, topic, port: paused.port }, sending.count()));
      context.say(`${protocol}: pause ${round} ${JSON.stringify(row.seen.at(-1))}`);
    }
    await delay(settleMs);
    if (!(await isWell(paused.port))) throw new Error("a call of the worker hangs");
    row.events = await sending.stop();
    await handled(sql, topic, row.events);
    const [twice] = await sql<{ count: number }[]>`
      select count(*)::int from (select 1 from public.effects where handler like ${`${topic}-%`}
        group by handler, event_id having count(*) > 1) as more`;
    if (twice?.count) row.failures.push(`${protocol}: ${twice.count} events had two effects`);
  } catch (error) {
    row.failures.push(`${protocol}: ${(error as Error).message}`);
    await sending.stop();
  }
  for (const { child } of [paused, other]) {
    const startedMs = performance.now();
    await child.stop(3 * stopMaxMs);
    row.stopMs.push(performance.now() - startedMs);
    const code = await child.exited;
    if (code !== 0) row.failures.push(`${protocol}: a worker ended with ${code}`);
  }
  return row;
};

const startWorker = async (
  { stage, context }: Scene,
  { protocol, topic, index }: Readonly<{ protocol: string; topic: string; index: number }>,
): Promise<Worker> => {
  const port = await choosePort([0]);
  const child = await startChild({
    name: `${topic}-worker-${index}`,
    command: stage.nodePath,
    args: [join(import.meta.dirname, "../support/drill-worker.ts")],
    cwd: join(import.meta.dirname, "../.."),
    env: {
      ...context.env,
      DATABASE_URL: stage.postgres.directUrl,
      KAFKA_BOOTSTRAP_SERVERS: stage.kafka.bootstrapServers,
      ...{ DRILL_TOPIC: topic, DRILL_PROTOCOL: protocol, PORT: String(port) },
      UV_THREADPOOL_SIZE: String(poolThreads),
    },
    logFile: join(context.folder, `${topic}-worker-${index}.log`),
  });
  return { child, port };
};

const ask = async (port: number, path: string): Promise<string | undefined> => {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/${path}`, {
      signal: AbortSignal.timeout(5000),
    });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
};

/** Ready, which includes that it reads some partition of every group, and alive. */
const isWell = async (port: number): Promise<boolean> =>
  (await ask(port, "livez")) !== undefined && (await ask(port, "readyz")) !== undefined;

const handled = (sql: Sql, topic: string, events: number): Promise<unknown> =>
  until(
    async () => {
      const [row] = await sql<{ count: number }[]>`
        select count(distinct (handler, event_id))::int from public.effects
        where handler like ${`${topic}-%`}`;
      return (row?.count ?? 0) >= events * handlersPerEvent;
    },
    { what: `${topic}: the effects of ${events} events`, timeoutMs: handledMaxMs, pollMs: 100 },
  );

type After = Readonly<{ sql: Sql; topic: string; port: number }>;

/** Everything that was sent so far has its effects, and the worker has its share again. */
const afterPause = async ({ sql, topic, port }: After, events: number): Promise<Seen> => {
  const startedMs = performance.now();
  const since = (): number => Math.round(performance.now() - startedMs);
  await handled(sql, topic, events);
  const handledMs = since();
  await until(() => isWell(port), {
    ...{ what: `${topic}: the worker's share of partitions`, timeoutMs: readyMaxMs, pollMs: 100 },
  });
  const readyMs = since();
  const text = (await ask(port, "readyz?verbose")) ?? "";
  return { handledMs, readyMs, probeMs: Number(/kafka ok \((\d+) ms\)/.exec(text)?.[1]) };
};

const title = (protocol: string): string => protocols[protocol as keyof typeof protocols];

const inS = (ms: number): string => (ms / 1000).toFixed(1);

const failuresOf = ({ protocol, seen, stopMs, failures }: Row): string[] => [
  ...failures,
  ...seen
    .filter(({ probeMs }) => !(probeMs <= probeMaxMs))
    .map(({ probeMs }) => `${protocol}: the probe took ${probeMs} ms`),
  ...stopMs.filter((ms) => ms > stopMaxMs).map((ms) => `${protocol}: a stop took ${inS(ms)} s`),
];

const tableRow = (...cells: (string | number)[]): string => `| ${cells.join(" | ")} |`;

const report = (rows: readonly Row[]) => {
  const lines = rows.flatMap(({ protocol, seen }) =>
    seen.map(({ handledMs, readyMs, probeMs }, at) =>
      tableRow(title(protocol), at + 1, inS(handledMs), inS(readyMs), probeMs),
    ),
  );
  const ends = rows.map(({ protocol, events, stopMs }) =>
    tableRow(title(protocol), events, stopMs.map(inS).join(", ")),
  );
  const pause = `${pauseMs / 1000} s, ${pauseCount} times in a row`;
  const text = [
    `Two workers with two consumer groups each share ${partitions} partitions, into which`,
    `${eventsPerS} events come each second. One of the workers is stopped (SIGSTOP) for`,
    `${pause}; all protocols run at the same time. The workers`,
    `have ${poolThreads} threads for native calls: as many that hang would be the end. After each`,
    "pause every event that had been sent by then has its two effects, and the worker is alive, is",
    "ready, and reads partitions of both groups. At the end no call into a client hangs, SIGTERM",
    "ends both workers well, and no event has had an effect twice.",
    "",
    "| protocol | pause | all handled after, s | its share back after, s | its Kafka probe, ms |",
    "| --- | --- | --- | --- | --- |",
    ...lines,
    "",
    "| protocol | events | SIGTERM to the end of each worker, s |",
    "| --- | --- | --- |",
    ...ends,
  ].join("\n");
  return { text, failures: rows.flatMap(failuresOf) };
};
