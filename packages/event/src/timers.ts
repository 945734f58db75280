/**
 * A port: timers outside the database that holds the truth. They only save time: whoever sets them
 * looks by itself, too, less often, so one that is lost or fires twice does no harm.
 */

export type Timer = Readonly<{
  /** Of what is to be looked at. */
  id: string;
  delayMs: number;
}>;

export type Timers = Readonly<{
  /** Throws when they cannot be set. */
  set(timers: readonly Timer[]): Promise<void>;
  /** All connections are there, which says nothing of whether a timer would be taken. */
  isHealthy(): boolean;
  /** Writes, and throws Fault with what is wrong and what to do when no timer can be set. */
  check(): Promise<void>;
  close(): Promise<void>;
}>;

/** Each timer of a queue fires in one of the processes that have opened it. */
export type OpenTimers = (queue: string, onDue: (id: string) => void) => Timers;
