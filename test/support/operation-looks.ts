/** What operators may ask of the operations API: all lists with all filters, and one of each. */

import { randomUUID } from "node:crypto";
import type { Sql } from "@outrider/postgres";

export type Look = Readonly<{
  name: string;
  path: string;
  /** 200 where it is not said. */
  status?: number;
}>;

/** Of what `fillOperations` has written. */
export type Places = Readonly<{
  /** Event ids, by what has become of them. */
  events: Readonly<Record<"handled" | "parked" | "behind" | "buried", string>>;
  /** Ids in the middle. */
  letter: number;
  parked: number;
  entry: number;
  redrive: number;
  replay: number;
  operation: number;
  /** When the letter in the middle was buried. */
  buriedAt: Date;
}>;

export const findPlaces = async (sql: Sql): Promise<Places> => {
  const [row] = await sql<Omit<Places, "events">[]>`
    select letter.id::float8 as letter, letter.buried_at as "buriedAt",
      (select (max(id) / 2)::float8 from outrider.parked_heads) as parked,
      (select (max(id) / 2)::float8 from outrider.audit) as entry,
      (select max(id)::float8 from outrider.redrives) as redrive,
      (select max(id)::float8 from outrider.replays) as replay,
      (select max(id)::float8 from outrider.operations) as operation
    from outrider.dead_letters letter
    where letter.id = (select max(id) / 2 from outrider.dead_letters)`;
  const [events] = await sql<Places["events"][]>`
    select
      (
        select event_id from outrider.inbox
        where handler = 'shop.handler-7' and state = 'handled' limit 1
      ) as handled,
      (
        select p.event_id from outrider.parked p
        where p.state = 'due' and p.code is not null limit 1
      ) as parked,
      (select event_id from outrider.parked where code is null limit 1) as behind,
      (select event_id from outrider.dead_letters where state = 'open' limit 1) as buried`;
  if (!row || !events) throw new Error("no rows");
  return { ...row, events };
};

type Query = Readonly<Record<string, string | number>>;

const pathOf = (path: string, query: Query): string => {
  const search = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
  );
  return search.size > 0 ? `/v1${path}?${search}` : `/v1${path}`;
};

const many =
  (what: string, path: string) =>
  (queries: Readonly<Record<string, Query>>): Look[] =>
    Object.entries(queries).map(([name, query]) => ({
      name: name === "" ? what : `${what}: ${name}`,
      path: pathOf(path, query),
    }));

/** As the API's pages give it. */
const cursorAt = (...position: readonly number[]): string =>
  Buffer.from(JSON.stringify(position)).toString("base64url");

/** Behind all partitions but a few. */
const lastPlace = Buffer.from(JSON.stringify(["shop", "topic-9", 0])).toString("base64url");

const nobody = "00000000-0000-4000-8000-000000000000";
const handler = "shop.handler-7";

const parkedLooks = ({ parked }: Places): Look[] => {
  const cursor = cursorAt(parked);
  const keyNumber = Math.max(1, Math.floor(parked));
  return [
    ...many(
      "parked",
      "/parked",
    )({
      "": {},
      "a late page": { cursor },
      "1,000 of them": { limit: 1000 },
      handler: { handler },
      "handler, a late page": { handler, cursor },
      "handler that has none": { handler: "shop.none" },
      topic: { topic: "topic-7" },
      "topic that has none": { topic: "none" },
      key: { key: `parked-${keyNumber}` },
      "key that is none": { key: "none" },
      code: { code: "CODE_17" },
      "code, a late page": { code: "CODE_17", cursor },
      "code that is none": { code: "CODE_X" },
      running: { state: "running" },
      due: { state: "due" },
      waiting: { state: "waiting" },
      held: { state: "held" },
      "handler and code": { handler, code: "CODE_27" },
      "handler and code that do not meet": { handler, code: "CODE_18" },
      "handler and topic that do not meet": { handler, topic: "topic-1" },
      "handler, held": { handler, state: "held" },
      "handler, running": { handler, state: "running" },
      "code, held": { code: "CODE_10", state: "held" },
    }),
    ...many("a parked key", `/parked/${parked}`)({ "": {} }),
    ...many(
      "events of a parked key",
      `/parked/${parked}/events`,
    )({ "": {}, "a later page": { cursor: cursorAt(0, 0) } }),
  ];
};

const letterFilters = ({ letter, buriedAt, events }: Places): Record<string, Query> => {
  const ofMessage = `no order ${letter}`;
  const [early, late] = ["2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];
  return {
    "": {},
    open: { state: "open" },
    discarded: { state: "discarded" },
    "redriven, of which there are none": { state: "redriven" },
    "of a handler": { handler },
    "of a handler that has none": { handler: "shop.none" },
    "open, of a handler": { state: "open", handler },
    "open, of a handler that has none": { state: "open", handler: "shop.none" },
    "of handlers": { origin: "handler" },
    "of the relay, of which there are none": { origin: "relay" },
    "open, of the relay": { state: "open", origin: "relay" },
    "of a topic": { topic: "topic-3" },
    "of a topic that has none": { topic: "none" },
    "open, of a topic": { state: "open", topic: "topic-3" },
    "of a code": { code: "CODE_17" },
    "of a code that is none": { code: "CODE_X" },
    "open, of a code": { state: "open", code: "CODE_17" },
    "open, of a code that is none": { state: "open", code: "CODE_X" },
    "of a group": { fingerprint: "fingerprint 111" },
    "of a group that is none": { fingerprint: "none" },
    "open, of a group": { state: "open", fingerprint: "fingerprint 111" },
    "of a key": { key: `key-${letter}` },
    "of a key that is none": { key: "none" },
    "of an event": { eventId: events.buried },
    "of an event that is none": { eventId: nobody },
    "since the middle": { since: buriedAt.toISOString() },
    "until the middle": { until: buriedAt.toISOString() },
    "since a time to come": { since: late },
    "until a time before all": { until: early },
    "open, until the middle": { state: "open", until: buriedAt.toISOString() },
    "open, since a time to come": { state: "open", since: late },
    "handler and code that do not meet": { state: "open", handler, code: "CODE_18" },
    "handler and topic that do not meet": { handler, topic: "topic-1" },
    "with a text": { text: ofMessage },
    "with a text that many have": { text: "orderId" },
    "with a text that is nowhere": { text: "nowhere" },
    "open, with a text that is nowhere": { state: "open", text: "nowhere" },
    "handler, with a text that is nowhere": { handler, text: "nowhere" },
  };
};

const letterLooks = (places: Places): Look[] => {
  const { letter } = places;
  const filters = letterFilters(places);
  const page = { cursor: cursorAt(letter) };
  return [
    ...many("letters", "/dead-letters")(filters),
    ...many(
      "letters",
      "/dead-letters",
    )({
      "1,000 of them": { limit: 1000 },
      "a late page": page,
      "open, a late page": { ...page, state: "open" },
      "open, of a handler, a late page": { ...page, state: "open", handler },
      "open, of a code, a late page": { ...page, state: "open", code: "CODE_17" },
    }),
    ...many("groups", "/dead-letters/groups")({ ...filters, "1,000 of them": { limit: 1000 } }),
    ...many("one letter", `/dead-letters/${letter}`)({ "": {} }),
  ];
};

const otherLooks = ({ entry, redrive, replay, operation }: Places): Look[] => {
  const page = { cursor: cursorAt(entry) };
  const beforeHalf = (id: number) => ({ cursor: cursorAt(Math.max(1, Math.floor(id / 2))) });
  return [
    ...many(
      "redrives",
      "/redrives",
    )({
      ...{ "": {}, running: { state: "running" }, done: { state: "done" } },
      ...{ paused: { state: "paused" }, "a late page": beforeHalf(redrive) },
    }),
    ...many(
      "replays",
      "/replays",
    )({ "": {}, running: { state: "running" }, "a late page": beforeHalf(replay) }),
    ...many(
      "operations",
      "/operations",
    )({ "": {}, running: { state: "running" }, "a late page": beforeHalf(operation) }),
    ...many(
      "partitions",
      "/partitions",
    )({
      ...{ "": {}, "halted ones": { halted: "true" }, "of a topic": { topic: "topic-7" } },
      ...{ "of a group": { group: "shop" }, "a late page": { cursor: lastPlace } },
    }),
    ...many("a redrive", `/redrives/${redrive}`)({ "": {} }),
    ...many("a replay", `/replays/${replay}`)({ "": {} }),
    ...many("an operation", `/operations/${operation}`)({ "": {} }),
    ...many("handlers", "/handlers")({ "": {} }),
    ...many("a handler", `/handlers/${handler}`)({ "": {} }),
    ...many("workers", "/workers")({ "": {} }),
    ...many("outbox", "/outbox")({ "": {} }),
    ...many("health", "/health")({ "": {} }),
    ...many(
      "events",
      "/events",
    )({
      ...{ "": {}, "of a key": { key: "key-7" }, "of a type": { type: "order.placed" } },
      ...{ "of a chain": { correlationId: nobody }, "of a topic": { topic: "topic-7" } },
      "of a time": { since: "2000-01-01T00:00:00Z", until: "2100-01-01T00:00:00Z" },
    }),
    ...many("shards", "/shards")({ "": {} }),
    ...many("keys", "/keys")({ "": {}, "a late page": { cursor: cursorAt(10) } }),
    ...many(
      "audit",
      "/audit",
    )({
      ...{ "": {}, "a late page": page, actor: { actor: "actor-7" } },
      ...{ "actor that is none": { actor: "none" }, action: { action: "action-7" } },
      ...{ "action that is none": { action: "none" }, target: { target: "dead-letters/77" } },
      "target that is none": { target: "none" },
      "actor and action that do not meet": { actor: "actor-7", action: "action-8" },
    }),
  ];
};

/** Every list of the API, and one of each. */
export const listLooks = (places: Places): Look[] => [
  ...parkedLooks(places),
  ...letterLooks(places),
  ...otherLooks(places),
];

export const lifeLooks = ({ events }: Places): Look[] => [
  ...Object.entries(events).map(([name, id]) => ({ name: `${name} event`, path: eventPath(id) })),
  { name: "an event that nobody knows", path: eventPath(randomUUID()), status: 404 },
];

export const eventPath = (id: string, query: Query = {}): string => pathOf(`/events/${id}`, query);

/** Reads all letters that match: with each filter. */
export const exportLooks = (places: Places): Look[] => [
  ...many("export", "/dead-letters/export")(letterFilters(places)),
  ...many("preview", "/redrives/preview")(letterFilters(places)),
];

/** What a redrive would do; all letters that match are read. */
export const previewLooks = (): Look[] =>
  many(
    "preview",
    "/redrives/preview",
  )({ "of all": {}, "of a handler": { handler }, "of ten": { ids: "1,2,3,4,5,6,8,9,10,11" } });
