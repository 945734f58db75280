export { backoffMs } from "./backoff.ts";
export type { Backoff } from "./backoff.ts";
export { defineCatalogue } from "./catalogue.ts";
export type { Catalogue } from "./catalogue.ts";
export { dataschemaOf, decodeRecord, headerTexts, readType, rowHeaders } from "./cloud-events.ts";
export { defineEvent, problemsOf } from "./define-event.ts";
export type { DataSchema, EventDefinition, EventOf, Origin } from "./define-event.ts";
export { categories, headersFrom } from "./envelope.ts";
export type { Category, Cause, Envelope, EventHeaders } from "./envelope.ts";
export { Fault, fault, faultCodes, isFault } from "./fault.ts";
export type { FaultCode, FaultContext, FieldProblem } from "./fault.ts";
export type { AssignedPartition, Delivery, Emit, Header, KafkaConnection } from "./ports.ts";
export type { KafkaRecord, Log, OpenPublisher, Position, Publisher } from "./ports.ts";
export type {
  PublishRecord,
  RawRecord,
  Refusal,
  RefusalScope,
  Subscribe,
  Subscriber,
} from "./ports.ts";
export type { SubscriberEvents, TopicPartition } from "./ports.ts";
export { topicFor } from "./routing.ts";
export type { Route } from "./routing.ts";
export { deadLetterTopic, deadLetterTopicName, defineTopic } from "./topic.ts";
export type { Profile, TopicSpec } from "./topic.ts";
export type { OpenTimers, Timer, Timers } from "./timers.ts";
