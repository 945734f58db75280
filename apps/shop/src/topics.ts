/** The shop's topics, and the catalogue its outbox and its handlers work with. */

import { deadLetterTopic, defineCatalogue, defineTopic } from "@outrider/event";
import { orderCancelled, orderCreated } from "./events.ts";

const dayMs = 24 * 60 * 60 * 1000;

/**
 * Every event of an order, in one topic: Kafka keeps order only inside a partition, so with a
 * topic per event type a handler might see the cancellation before the order.
 */
const orderEvents = defineTopic({
  name: orderCreated.topic,
  partitions: 12,
  retentionMs: 7 * dayMs,
  compression: "lz4",
  replication: { production: 3, dev: 1 },
  minInSyncReplicas: { production: 2, dev: 1 },
});

export const topics = [orderEvents, deadLetterTopic(orderEvents)] as const;

export const catalogue = defineCatalogue(topics, [orderCreated, orderCancelled]);
