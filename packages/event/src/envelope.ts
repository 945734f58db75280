/**
 * An event: an immutable fact with CloudEvents attributes (https://cloudevents.io, 1.0) and data.
 * Called Envelope because `Event` is a DOM global.
 */

export const categories = ["domain", "integration", "audit", "system", "notification"] as const;

export type Category = (typeof categories)[number];

/** What is copied from cause to effect, so that a chain of events can be followed. */
export type EventHeaders = Readonly<{
  /** W3C Trace Context. */
  traceparent?: string;
  /** Id of the first event or request of the chain. */
  correlationId?: string;
  /** Id of the event that directly caused this one. */
  causationId?: string;
  tenant?: string;
}>;

export type Envelope<D = unknown, T extends string = string> = Readonly<{
  /** UUID, v7 for our own: what every consumer deduplicates by. */
  id: string;
  type: T;
  version: number;
  source: string;
  category: Category;
  /** What order is kept for: the aggregate's id, also the Kafka record key. */
  key: string;
  /** RFC 3339, UTC, milliseconds. */
  occurredAt: string;
  data: D;
  headers: EventHeaders;
  /** Position among its key's events where the writer knows it: an aggregate's version. */
  sequence?: number;
}>;

/** An event or a request, seen as the cause of a new event. */
export type Cause = Readonly<{ id?: string; headers?: EventHeaders }>;

/** The headers of an event caused by `cause`. */
export const headersFrom = (cause: Cause | undefined): EventHeaders => {
  if (!cause) return {};
  const { traceparent, correlationId, tenant } = cause.headers ?? {};
  const chain = correlationId ?? cause.id;
  return {
    ...(traceparent && { traceparent }),
    ...(chain && { correlationId: chain }),
    ...(cause.id && { causationId: cause.id }),
    ...(tenant && { tenant }),
  };
};
