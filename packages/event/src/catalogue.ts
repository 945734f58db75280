/** All events and topics of one app: what its outbox accepts and its handlers can decode. */

import type { EventDefinition } from "./define-event.ts";
import { fault } from "./fault.ts";
import type { TopicSpec } from "./topic.ts";

export type Catalogue = Readonly<{
  topics: readonly TopicSpec[];
  /** Throws `event_unknown`. */
  definitionOf(type: string, version: number): EventDefinition;
  /** Throws `topic_unknown`. */
  topicOf(name: string): TopicSpec;
}>;

/** Throws `topic_unknown` for an event whose topic is not declared, `conflict` for doubles. */
export const defineCatalogue = (
  topics: readonly TopicSpec[],
  events: readonly EventDefinition[],
): Catalogue => {
  const byName = index(topics, (topic) => topic.name);
  const byType = index(events, (event) => `${event.type} version ${event.version}`);
  const topicOf = (name: string): TopicSpec =>
    byName.get(name) ?? unknown("topic_unknown", `The catalogue has no topic ${name}`);
  for (const event of events) topicOf(event.topic);
  return Object.freeze({
    topics: Object.freeze([...topics]),
    topicOf,
    definitionOf: (type: string, version: number) =>
      byType.get(`${type} version ${version}`) ??
      unknown("event_unknown", `The catalogue has no event ${type} version ${version}`),
  });
};

const unknown = (code: "topic_unknown" | "event_unknown", message: string): never => {
  throw fault(code, message);
};

const index = <V>(values: readonly V[], nameOf: (value: V) => string): Map<string, V> => {
  const byName = new Map<string, V>();
  for (const value of values) {
    const name = nameOf(value);
    if (byName.has(name)) throw fault("conflict", `${name} is declared twice`);
    byName.set(name, value);
  }
  return byName;
};
