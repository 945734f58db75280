export { createOpenTimers } from "./open-timers.ts";
export type { TimerSettings } from "./open-timers.ts";
export { openRetryQueues, retryStates } from "./retry-queues.ts";
export type { RetryJob, RetryQueue, RetryQueues } from "./retry-queues.ts";
export type { RetryQueuesSettings, RetryState } from "./retry-queues.ts";
