export { readBacklog } from "./operate/backlog.ts";
export type { Backlog } from "./operate/backlog.ts";
export { createOutbox } from "./outbox.ts";
export type { Outbox, OutboxSettings, Work } from "./outbox.ts";
export { startRelay } from "./relay/relay.ts";
export type { Relay, RelayDeps, RelaySettings, RelayState } from "./relay/relay.ts";
export { connectStore, createStore } from "./relay/store.ts";
export type { Store, StoreConnection } from "./relay/store.ts";
