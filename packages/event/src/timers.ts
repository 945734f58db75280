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
  isHealthy(): boolean;
  close(): Promise<void>;
}>;

/** Each timer of a queue fires in one of the processes that have opened it. */
export type OpenTimers = (queue: string, onDue: (id: string) => void) => Timers;
