/** Records from where they lie: one answer of a broker at a time, no consumer group. */

import type { AskedLog, Header, KafkaRecord, Position } from "@outrider/event";
import type { Broker, ClusterMetadata, Consumer, FetchOptions } from "@platformatic/kafka";
import type { Offsets } from "@platformatic/kafka";

/** Of all partitions, or of those that are named by topic. */
export type OffsetsWish = {
  topics: string[];
  timestamp: bigint;
  partitions?: Record<string, number[]>;
};

/** What is used of the client's consumer to find offsets. */
export type OffsetsClient = Readonly<{
  metadata(options: { topics: string[]; forceUpdate?: boolean }): Promise<ClusterMetadata>;
  listOffsets(options: OffsetsWish): Promise<Offsets>;
}>;

/** What is used of the client's consumer. */
export type ReadingClient = OffsetsClient &
  Readonly<{
    fetch(options: Fetching): Promise<FetchResponse>;
    /** Where leader epochs end, of partitions that the broker leads; -1: it does not know. */
    epochEnds(broker: Broker, asked: readonly AskedLog[]): Promise<Position[]>;
  }>;

type Fetching = FetchOptions<Buffer, Buffer, Buffer, Buffer>;
type FetchResponse = Awaited<ReturnType<Consumer["fetch"]>>;

/** Where a reading of a partition is, and where it ends. */
export type Cursor = {
  readonly partition: number;
  readonly leader: number;
  next: bigint;
  readonly end: bigint;
};

export type FetchWish = Readonly<{
  topicId: string;
  /** Those of one leader. */
  cursors: readonly Cursor[];
  /** Of a partition; a batch comes whole, however large. */
  bytesMax: number;
  /** Of all partitions. */
  answerBytesMax?: number;
  /** How long the broker waits for a first byte. */
  waitMs: number;
}>;

export type FetchedPartition = FetchResponse["responses"][number]["partitions"][number];

/** Bit of a batch that holds markers of transactions, not records. */
const controlBit = 0b10_0000;
/** Bit of a batch whose records all have the time at which the broker appended it. */
const appendTimeBit = 0b1000;

export const isBehind = (cursor: Cursor): boolean => cursor.next < cursor.end;

/** What is there for the cursors that are behind, in no order of partitions. */
export const fetchMore = async (
  client: Pick<ReadingClient, "fetch">,
  { topicId, cursors, bytesMax, answerBytesMax, waitMs }: FetchWish,
): Promise<readonly FetchedPartition[]> => {
  const behind = cursors.filter(isBehind);
  const answer = await client.fetch({
    node: behind[0]?.leader ?? -1,
    maxWaitTime: waitMs,
    ...(answerBytesMax !== undefined && { maxBytes: answerBytesMax }),
    topics: [
      {
        topicId,
        partitions: behind.map(({ partition, next }) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: next,
          lastFetchedEpoch: -1,
          partitionMaxBytes: bytesMax,
        })),
      },
    ],
  });
  return answer.responses.flatMap((response) => response.partitions);
};

/** The new records of one partition's answer, and the cursor behind them. */
export const take = (
  topic: string,
  cursor: Cursor,
  fetched: FetchedPartition,
): readonly KafkaRecord[] => {
  const records: KafkaRecord[] = [];
  for (const batch of fetched.records ?? []) {
    const isControl = (batch.attributes & controlBit) !== 0;
    const isAppendTime = (batch.attributes & appendTimeBit) !== 0;
    for (const record of isControl ? [] : batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      // A batch comes whole, so it may begin before what was asked for.
      if (offset < cursor.next || offset >= cursor.end) continue;
      records.push({
        topic,
        partition: cursor.partition,
        offset: Number(offset),
        timestampMs: Number(
          isAppendTime ? batch.maxTimestamp : batch.firstTimestamp + record.timestampDelta,
        ),
        key: record.key,
        value: record.value,
        headers: record.headers.map(([name, value]): Header => {
          return { [String(name)]: value ?? new Uint8Array() };
        }),
      });
    }
    const after = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
    if (after > cursor.next) cursor.next = after;
  }
  return records;
};
