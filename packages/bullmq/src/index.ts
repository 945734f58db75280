export { createOpenTimers } from "./open-timers.ts";
export type { TimerSettings } from "./open-timers.ts";
export { readRetryQueue } from "./retry-queue.ts";
export type { ReadSettings, RetryJob, RetryQueue } from "./retry-queue.ts";
