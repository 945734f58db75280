/**
 * Timers as delayed jobs of BullMQ. Redis may come, go and lose its data: then timers are late or
 * lost, as the port allows, and whoever sets them is told by an error. Nothing waits in memory.
 */

import { fault, within } from "@outrider/event";
import type { Log, OpenTimers, Timers } from "@outrider/event";
import type { Redis, RedisOptions } from "ioredis";
import { createAcceptance } from "./acceptance.ts";
import { createConnect, drop, impatient, isReady, patient } from "./connection.ts";
import type { ConnectionLimits } from "./connection.ts";
import { createPresence } from "./presence.ts";
import { startReceiver } from "./receiver.ts";
import type { ReceiverLimits } from "./receiver.ts";
import { checkName, createSender } from "./sender.ts";
import type { SenderLimits } from "./sender.ts";
import { createPolicyWarning, withServerInfo } from "./server-info.ts";

export type TimerSettings = Partial<
  ConnectionLimits &
    SenderLimits &
    ReceiverLimits &
    Readonly<{
      /** How long closing may take. */
      closeTimeoutMs: number;
      /** A loss of Redis that is mended sooner is not told. */
      awayGraceMs: number;
    }>
>;

const defaults = {
  connectTimeoutMs: 3000,
  // More than the ten seconds for which BullMQ lets Redis wait for a job.
  answerTimeoutMs: 15_000,
  disconnectTimeoutMs: 100,
  reconnect: { baseMs: 50, capMs: 1000 },
  batchMax: 500,
  setTimeoutMs: 1000,
  eventsMax: 100,
  dueMax: 50,
  // A process that ended may have taken the news of the next timer with it: so late is that one.
  idleMs: 1000,
  lockMs: 30_000,
  refusedPauseMs: 1000,
  closeTimeoutMs: 1000,
  awayGraceMs: 200,
} as const;

type Limits = Required<TimerSettings>;

/**
 * Opening never fails for Redis: it may come up later. It throws Fault `settings_invalid` for a
 * queue's name with anything but letters, digits, dots, dashes and underscores.
 */
export const createOpenTimers = (
  redisUrl: string,
  log: Log,
  settings: TimerSettings = {},
): OpenTimers => {
  const limits = { ...defaults, ...settings };
  const onPolicy = createPolicyWarning(log);
  return (queue, onDue) => {
    checkName(queue);
    return open({ redisUrl, queue, onDue, onPolicy, log: log.child({ queue }) }, limits);
  };
};

type Job = Readonly<{
  redisUrl: string;
  queue: string;
  onDue(id: string): void;
  onPolicy(policy: string): void;
  log: Log;
}>;

const open = (job: Job, limits: Limits): Timers => {
  const { redisUrl, queue, onDue, log } = job;
  const clients: Redis[] = [];
  let isUp = false;
  let isOver = false;

  const areReady = () => isUp && clients.every(isReady);
  const presence = createPresence({ log, isReady: areReady, graceMs: limits.awayGraceMs });
  const acceptance = createAcceptance({
    ...{ log, monotonicMs: () => performance.now() },
    // While it refuses what the receiver asks, the receiver asks again after each pause.
    holdMs: 2 * limits.refusedPauseMs,
  });
  const connectTo = createConnect(limits);
  const connect = (options: RedisOptions): Redis => {
    const client = connectTo(redisUrl, options);
    presence.watch(client);
    clients.push(client);
    return client;
  };
  const connectWorker = (more: RedisOptions = {}): Redis =>
    withServerInfo(connect({ ...patient(limits), ...more }), {
      ...{ retryMs: limits.refusedPauseMs, isOver: () => isOver, log, onPolicy: job.onPolicy },
    });

  const sender = createSender(queue, connect(impatient), limits);
  const receiver = startReceiver(
    queue,
    {
      // BullMQ duplicates it for the command that waits.
      client: Object.assign(connectWorker(), { duplicate: connectWorker }),
      log,
      onDue,
      onUp: () => {
        isUp = true;
        presence.look();
      },
      onError: (error) => {
        const isRefusal = areReady() && !presence.isLoss(error);
        if (isRefusal) acceptance.refused(error);
        return isRefusal;
      },
    },
    limits,
  );

  const close = async (): Promise<void> => {
    isOver = true;
    presence.stop();
    await within(limits.closeTimeoutMs, Promise.allSettled([receiver.close(), sender.close()]));
    for (const client of clients) drop(client);
  };
  const check = async (): Promise<void> => {
    if (!areReady()) throw fault("unavailable", presence.reason());
    await acceptance.note(sender.probe()).catch((error: unknown) => {
      if (acceptance.reason() === undefined) throw error;
    });
    const reason = acceptance.reason();
    if (reason !== undefined) throw fault("unavailable", reason);
  };

  let closed: Promise<void> | undefined;
  return {
    set: (timers) => acceptance.note(sender.set(timers)),
    isHealthy: () => areReady(),
    check,
    close: () => (closed ??= close()),
  };
};
