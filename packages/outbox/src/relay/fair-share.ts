/**
 * How shards are shared out without a coordinator. Every relay works out the same plan from what
 * the database says, and acts on its own part of it: it gives what it has beyond its share and
 * takes what is free up to it. Those who have most keep the shards that are left over when the
 * number does not divide, so that nothing moves without need.
 */

export type Ownership = Readonly<{ shard: number; owner?: string }>;

export type Plan = Readonly<{ take: readonly number[]; give: readonly number[] }>;

/** `members` holds every relay that is alive; one that is missing counts as joining, `me` too. */
export const planShare = (
  me: string,
  members: readonly string[],
  shards: readonly Ownership[],
): Plan => {
  const alive = [...new Set([...members, me])].sort();
  const owned = (member: string) => shards.filter((one) => one.owner === member);
  const byCount = alive.toSorted((a, b) => owned(b).length - owned(a).length || (a < b ? -1 : 1));
  const each = Math.floor(shards.length / alive.length);
  const isLucky = byCount.indexOf(me) < shards.length % alive.length;
  const share = each + (isLucky ? 1 : 0);
  const mine = owned(me).map((one) => one.shard);
  const free = shards.filter((one) => one.owner === undefined).map((one) => one.shard);
  // Relays begin at different ends, so that they seldom reach for the same shard.
  const from = Math.floor((alive.indexOf(me) * free.length) / alive.length);
  return {
    take: [...free.slice(from), ...free.slice(0, from)].slice(0, Math.max(0, share - mine.length)),
    give: mine.slice(share),
  };
};
