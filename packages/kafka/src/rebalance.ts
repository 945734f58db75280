/**
 * The answers that librdkafka waits for in a rebalance, and without which a close waits for ever,
 * on a thread of libuv's pool. Under the cooperative protocols it refuses `assign` and `unassign`;
 * under the eager one it refuses their incremental kin, and takes `unassign` for no answer to a
 * grant. Once it closes it takes `unassign` as the answer to everything.
 */

import type { Position, TopicPartition } from "@outrider/event";
import { kafkaCodes } from "./rd-consumer.ts";
import type { RdConsumer } from "./rd-consumer.ts";

/** What the client has told us and waits to be answered. */
export type Rebalance = Readonly<{
  code: number | undefined;
  partitions: readonly TopicPartition[];
}>;

const isCooperative = (client: RdConsumer): boolean => client.rebalanceProtocol() === "COOPERATIVE";

/** Takes what was granted. */
export const accept = (client: RdConsumer, starts: readonly Position[]): void => {
  if (isCooperative(client)) client.incrementalAssign(starts);
  else client.assign(starts);
};

/** Gives back what was revoked. */
export const giveBack = (client: RdConsumer, partitions: readonly TopicPartition[]): void => {
  if (isCooperative(client)) client.incrementalUnassign(partitions);
  else client.unassign();
};

/** Answers before a close without taking anything; throws what the client says against it. */
export const decline = (client: RdConsumer, { code, partitions }: Rebalance): void => {
  if (code === kafkaCodes.ERR__ASSIGN_PARTITIONS) accept(client, []);
  else giveBack(client, partitions);
};

/** Answers while the client closes. */
export const declineLeaving = (client: RdConsumer): void => {
  try {
    client.unassign();
  } catch {
    // It was closed before the answer.
  }
};
