export { readBacklog } from "./backlog.ts";
export type { Backlog } from "./backlog.ts";
export { createOutbox } from "./outbox.ts";
export type { Outbox, Work } from "./outbox.ts";
export { startRelay } from "./relay.ts";
export type { Relay, RelayDeps, RelaySettings, RelayState } from "./relay.ts";
