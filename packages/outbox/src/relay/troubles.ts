/** What keeps a relay from publishing something, as it tells it to others through the database. */

export type Trouble = Readonly<{
  /** `refused`: by Kafka, a whole topic; `stuck`: not acknowledged in time; `failing`: a shard. */
  kind: "refused" | "stuck" | "failing";
  shard: number;
  topic: string | null;
  reason: string;
}>;

/** They are written with every beat, so that no more are told. */
const troublesMax = 20;
const reasonCharsMax = 300;

export const troublesOf = ({ failing, refused, aside }: Told): readonly Trouble[] => {
  const isRefused = (shard: number, topic: string) =>
    refused.some((one) => one.shard === shard && one.topic === topic);
  const stuck = aside.flatMap(({ shard, topics }) =>
    topics.filter((topic) => !isRefused(shard, topic)).map((topic) => ({ shard, topic })),
  );
  return [
    ...refused.map(({ error, ...at }) => ({ kind: "refused" as const, ...at, reason: say(error) })),
    ...stuck.map((at) => ({ kind: "stuck" as const, ...at, reason: "it is not acknowledged" })),
    ...failing.map(({ shard, error }) => {
      return { kind: "failing" as const, shard, topic: null, reason: say(error) };
    }),
  ].slice(0, troublesMax);
};

type AtShard = Readonly<{ shard: number }>;

/** As a relay's state has it. */
type Told = Readonly<{
  failing: readonly (AtShard & Readonly<{ error: unknown }>)[];
  refused: readonly (AtShard & Readonly<{ topic: string; error: unknown }>)[];
  aside: readonly (AtShard & Readonly<{ topics: readonly string[] }>)[];
}>;

/** As Postgres can store it: a JSON text there has no zero and no half characters. */
const say = (error: unknown): string => {
  const text = error instanceof Error ? error.message : "an error without a message";
  return text.slice(0, reasonCharsMax).replaceAll("\0", "\uFFFD").toWellFormed();
};
