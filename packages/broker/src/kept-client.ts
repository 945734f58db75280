/**
 * One client for many questions, for a process that goes on: it is made when it is needed, kept
 * while it answers, and made anew after a failure.
 */

import { fault, isFault } from "@outrider/event";
import type { AskedLog, KafkaConnection, Position } from "@outrider/event";
import { Consumer, offsetForLeaderEpochV4 } from "@platformatic/kafka";
import type { Broker } from "@platformatic/kafka";
import { apiCodes } from "./api-error.ts";
import { clientOptions, closeQuietly, toFault, withDeadline } from "./admin.ts";
import type { ReadingClient } from "./fetch.ts";

export type KeptClient = Readonly<{
  /**
   * Throws Fault `unavailable` when the cluster does not answer in time, `forbidden` when it
   * refuses us, and what is a Fault already. The work may be done twice.
   */
  ask<T>(work: Work<T>): Promise<T>;
  /** What is under way rejects; nothing can be asked any more. */
  close(): Promise<void>;
}>;

type Work<T> = (client: ReadingClient) => Promise<T>;

type Trying = Readonly<{ untilMs: number; isAgain: boolean }>;

type Held = Readonly<{ consumer: Consumer; client: ReadingClient }> & { hasAnswered: boolean };

export const createKeptClient = (
  connection: KafkaConnection,
  { answerTimeoutMs }: Readonly<{ answerTimeoutMs: number }>,
): KeptClient => {
  let held: Held | undefined;
  let isClosed = false;

  const drop = (one: Held): Promise<void> => {
    if (held === one) held = undefined;
    return closeQuietly(one.consumer);
  };

  const ask = async <T>(work: Work<T>, { untilMs, isAgain }: Trying): Promise<T> => {
    if (isClosed) throw fault("unavailable", "The reader of topics is closed.");
    const one = (held ??= open(connection));
    const hadAnswered = one.hasAnswered;
    const deadlineMs = Math.max(1, Math.ceil(untilMs - performance.now()));
    try {
      const answer = await withDeadline(work(one.client), connection, { deadlineMs });
      one.hasAnswered = true;
      return answer;
    } catch (error) {
      // What the work itself has found is an answer.
      if (isFault(error) && !isFault(error, "unavailable")) throw error;
      void drop(one);
      // An open connection may have ended while nobody asked, and leaders may have moved.
      if (hadAnswered && !isAgain && !isFault(error)) return ask(work, { untilMs, isAgain: true });
      throw isFault(error) ? error : toFault(error, connection);
    }
  };

  return {
    ask: (work) => ask(work, { untilMs: performance.now() + answerTimeoutMs, isAgain: false }),
    close: async () => {
      isClosed = true;
      if (held) await drop(held);
    },
  };
};

/**
 * Kafka's error codes for a fetch session that it has forgotten, or counts otherwise. The client
 * loses count at each answer with an error, such as for an offset that is not there; it begins
 * another session with its next fetch.
 */
const sessionCodes: readonly number[] = [70, 71, 106];

const open = (connection: KafkaConnection): Held => {
  const consumer = new Consumer({
    ...clientOptions(connection, "outrider-reader"),
    groupId: "outrider-reader",
  });
  const fetch: ReadingClient["fetch"] = (options) =>
    consumer.fetch(options).catch((error: unknown) => {
      if (!apiCodes(error).some((code) => sessionCodes.includes(code))) throw error;
      return consumer.fetch(options);
    });
  let last: Promise<unknown> = Promise.resolve();
  const client: ReadingClient = {
    metadata: (options) => consumer.metadata(options),
    listOffsets: (options) => consumer.listOffsets(options),
    epochEnds: (broker, asked) => askEpochEnds(consumer, broker, asked),
    // One after the other: it has one fetch session with each broker, which two would break.
    fetch: (options) => {
      const fetched = last.then(() => fetch(options));
      last = fetched.catch(() => {});
      return fetched;
    },
  };
  return { consumer, client, hasAnswered: false };
};

/** Of a consumer, not of a replica. */
const noReplica = -1;

/** The client has no verb of its own for it. */
const askEpochEnds = async (
  consumer: Consumer,
  broker: Broker,
  asked: readonly AskedLog[],
): Promise<Position[]> => {
  const connection = await consumer.connections.get(broker);
  const byTopic = [...Map.groupBy(asked, (one) => one.topic)];
  const topics = byTopic.map(([name, ofTopic]) => ({
    name,
    partitions: ofTopic.map(({ partition: partitionIndex, leaderEpoch }) => {
      return { partitionIndex, currentLeaderEpoch: -1, leaderEpoch: leaderEpoch ?? -1 };
    }),
  }));
  const answer = await offsetForLeaderEpochV4.api.async(connection, noReplica, topics);
  return answer.topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, endOffset }) => {
      return { topic, partition, offset: Number(endOffset) };
    }),
  );
};
