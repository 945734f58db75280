/**
 * Which topic an event goes to. Order is kept per (topic, key) only, since Kafka keeps none across
 * topics: hence one topic per aggregate by default, with the type in `ce_type`.
 * No topic name is put together anywhere else.
 */

export type Route =
  | Readonly<{ category: "domain"; service: string; aggregate: string; event?: string }>
  | Readonly<{ category: "integration"; source: string; target: string; event: string }>
  | Readonly<{ category: "audit"; service: string; group: string }>
  | Readonly<{ category: "system"; service: string; event: string }>
  | Readonly<{ category: "notification"; channel: string; kind: string }>;

/** The topic name of a route. `event` on a domain route chooses one topic per event type. */
export const topicFor = (route: Route): string => {
  switch (route.category) {
    case "domain":
      return ["domain", route.service, route.aggregate, route.event].filter(Boolean).join(".");
    case "integration":
      return `integration.${route.source}.${route.target}.${route.event}`;
    case "audit":
      return `audit.${route.service}.${route.group}`;
    case "system":
      return `system.${route.service}.${route.event}`;
    case "notification":
      return `notifications.${route.channel}.${route.kind}`;
  }
};
