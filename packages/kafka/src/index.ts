export { poolThreadsFor } from "./pool-threads.ts";
export { createKafkaProbe } from "./probe.ts";
export type { KafkaProbe } from "./probe.ts";
export { createOpenPublisher } from "./publisher.ts";
export type { PublisherSettings } from "./publisher.ts";
export { createSubscribe } from "./subscriber.ts";
export type { SubscriberSettings } from "./subscriber.ts";
