/** Up to where things count as well. */

export type Thresholds = Readonly<{
  /** Longest that an event may wait to be published. */
  outboxAgeMaxMs: number;
  /** How old the oldest waiting event must be before a backlog that grows is worth a word. */
  growthAgeMinMs: number;
  /** Fewer waiting events or records are never worth a word, however fast they come. */
  backlogMin: number;
  /** Longest that a group may get no further in a partition with unread records. */
  stallMaxMs: number;
  /** How old the oldest unread record of a partition may get. */
  lagAgeMaxMs: number;
  /** How long an event may be parked that nobody has given up. */
  parkedAgeMaxMs: number;
  /** Most runs of an event that fails again and again. */
  runsMax: number;
  /** Most relays in a row that may end while they own a shard. */
  crashesMax: number;
  /** Most workers that may end without a word within an hour. */
  goneMax: number;
}>;

/** One relay that ends may be a deploy; so may two workers. The rest is what people wait for. */
export const thresholds: Thresholds = {
  outboxAgeMaxMs: 60_000,
  growthAgeMinMs: 10_000,
  backlogMin: 1000,
  stallMaxMs: 60_000,
  lagAgeMaxMs: 300_000,
  parkedAgeMaxMs: 3_600_000,
  runsMax: 10,
  crashesMax: 1,
  goneMax: 2,
};
