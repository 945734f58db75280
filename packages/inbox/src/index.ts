export { defineBatchHandler, defineHandler } from "./handler.ts";
export type { Handler, HandlerContext } from "./handler.ts";
export type { GroupState } from "./group.ts";
export { startInbox } from "./inbox.ts";
export type { Inbox, InboxDeps, InboxSettings } from "./inbox.ts";
export type { Failure } from "./lane.ts";
export type { Transact } from "./run-batch.ts";
export { discardLetter, redriveLetter } from "./operate/dead-letters.ts";
