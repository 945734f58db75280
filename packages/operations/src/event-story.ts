/** The life of an event as a story: one line for each thing that has happened, in order. */

import type { EventLife } from "./event-life.ts";
import type { DecisionFact, ExternalAttempt, FailedAttempt } from "./event-facts.ts";
import type { LetterFact, ParkedFact } from "./event-facts.ts";

export const chapterKinds = [
  ...(["occurred", "written", "held", "published", "failed", "started", "ended"] as const),
  ...(["decided", "buried", "redriven", "discarded", "restored", "noted", "handled"] as const),
  ...(["waiting", "unknown"] as const),
] as const;

export type Chapter = Readonly<{
  /** Null: not known, or now. */
  at: Date | null;
  what: (typeof chapterKinds)[number];
  /** Null: it was not a handler's. */
  handler: string | null;
  text: string;
}>;

/** What there is of it without the story. */
export type Told = Omit<EventLife, "story">;

export const tellStory = (life: Told): Chapter[] => {
  const { failed, external } = foldRuns(life);
  const past = [
    ...failed.map(tellFailed),
    ...external.map(tellExternal),
    ...life.letters.flatMap(tellLetter),
    ...life.decisions.flatMap(tellDecision),
    ...life.inbox
      .filter(({ state }) => state === "handled")
      .map((one) => tellHandled(one, life.external)),
  ];
  const sorted = past.toSorted((a, b) => (a.at?.getTime() ?? 0) - (b.at?.getTime() ?? 0));
  return [...tellBeginning(life), ...sorted, ...tellNow(life)];
};

const tellBeginning = (life: Told): Chapter[] => {
  const { type, version, key, source, occurredAt, replaces, outbox, record, recordState } = life;
  const what = type === null ? "an event" : `${type}, version ${version}`;
  const of = key === null ? "" : ` of ${key}`;
  const instead = replaces === null ? "" : `, in place of ${replaces}`;
  const from = source === null ? "" : `, from ${source}`;
  const began = outbox?.createdAt ?? occurredAt;
  const occurred = chapter("occurred", began, `${what}${of}${from}${instead}`);
  if (outbox?.state === "pending") {
    const where = outbox.shard === null ? "" : `, shard ${outbox.shard}`;
    return [occurred, chapter("written", null, `is in the outbox, not published yet${where}`)];
  }
  if (outbox) {
    const text = `is held in the outbox: dead letter ${outbox.letter} blocks its key`;
    return [occurred, chapter("held", null, text)];
  }
  if (record) {
    const { topic, partition, offset } = record;
    const place = `is in Kafka: ${topic}, partition ${partition}, offset ${offset}`;
    return [occurred, chapter("published", null, place)];
  }
  return [occurred, chapter("unknown", null, unknowns[recordState])];
};

const unknowns: Readonly<Record<Told["recordState"], string>> = {
  found: "is in Kafka",
  removed: "was in Kafka; the topic has let go of it",
  "not found": "was not found in Kafka",
  "not published": "is not in Kafka",
  away: "may be in Kafka, which could not be asked",
};

const chapter = (what: Chapter["what"], at: Date | null, text: string): Chapter => ({
  ...{ at, what, text },
  handler: null,
});

const waiting = (handler: string | null, text: string): Chapter => ({
  ...{ at: null, what: "waiting", text },
  handler,
});

/** `alike`: so many more have failed like this one, and are not told one by one. */
type ToldAttempt = FailedAttempt & Readonly<{ alike?: number }>;

const tellFailed = ({ at, handler, alike, ...failed }: ToldAttempt): Chapter => {
  const { attempt, kind, code, message } = failed;
  const which = attempt === null ? "an attempt that does not count" : `attempt ${attempt}`;
  const what = alike === undefined ? which : `${which}, and ${alike} more before it,`;
  const how = kind === "killed" ? "its process ended" : `${kind}, ${code}`;
  return { at, what: "failed", handler, text: `${what} failed: ${how}: ${message}` };
};

/**
 * Of attempts in a row that have failed alike, the first one and the last one are told, with how
 * many there were: an event may be tried for a day. So are the runs that they were.
 */
const foldRuns = ({
  failed,
  external,
}: Told): Readonly<{ failed: ToldAttempt[]; external: ExternalAttempt[] }> => {
  const told: ToldAttempt[] = [];
  const left: Readonly<{ handler: string; after: Date; before: Date }>[] = [];
  for (const row of Map.groupBy(failed, (one) => one.handler).values()) {
    for (const alike of stretchesOf(row)) {
      const [first, last] = [alike[0], alike.at(-1)];
      if (!first || !last || alike.length <= alikeMax) {
        told.push(...alike);
        continue;
      }
      told.push(first, { ...last, alike: alike.length - 2 });
      left.push({ handler: first.handler, after: first.at, before: last.at });
    }
  }
  const isLeft = ({ handler, startedAt: at, endedAt }: ExternalAttempt) =>
    endedAt !== null &&
    left.some((one) => one.handler === handler && at > one.after && at < one.before);
  return { failed: told, external: external.filter((run) => !isLeft(run)) };
};

/** Up to so many in a row are told one by one. */
const alikeMax = 4;

const stretchesOf = (attempts: readonly FailedAttempt[]): FailedAttempt[][] => {
  const stretches: FailedAttempt[][] = [];
  for (const one of attempts) {
    const before = stretches.at(-1)?.[0];
    const isAlike = before?.kind === one.kind && before.code === one.code;
    if (isAlike) stretches.at(-1)?.push(one);
    else stretches.push([one]);
  }
  return stretches;
};

/** A run that has not ended may be going on, or have ended with its process. */
const tellExternal = (one: ExternalAttempt): Chapter => {
  const { handler, attempt, startedAt, endedAt, outcome } = one;
  if (endedAt === null) {
    const text = `run ${attempt} began, with effects outside; its end is not known`;
    return { at: startedAt, what: "started", handler, text };
  }
  const tookMs = endedAt.getTime() - startedAt.getTime();
  const text = `run ${attempt} ended after ${tookMs} ms: ${outcome ?? "nobody knows how"}`;
  return { at: endedAt, what: "ended", handler, text };
};

/** Of one that was buried its letter tells. */
const tellDecision = ({ at, by, action, details }: DecisionFact): Chapter[] => {
  const why = details.reason === undefined ? "" : `: ${details.reason}`;
  const texts: Readonly<Record<string, string>> = {
    runParked: `run at once, by ${by}${why}`,
    postponeParked: `postponed until ${details.until ?? "later"}, by ${by}${why}`,
  };
  const text = texts[action];
  return text === undefined
    ? []
    : [{ at, what: "decided", handler: details.handler ?? null, text }];
};

const tellLetter = ({ id, handler, history }: LetterFact): Chapter[] =>
  history.map(({ at, action, by, message, replacedBy, redrive }) => {
    const who = by === null ? "" : ` by ${by}`;
    const how = redrive === null ? "" : `, redrive ${redrive}`;
    const instead = replacedBy === null ? "" : `, event ${replacedBy} in its place`;
    const verb = action === "buried" ? "given up" : action;
    const text = `dead letter ${id} ${verb}${who}${how}${instead}: ${message}`;
    return { at, what: action, handler, text };
  });

/** A row of the inbox is written before the run that it stands for. */
const tellHandled = (
  { handler, recordedAt }: Told["inbox"][number],
  external: Told["external"],
): Chapter => {
  const ends = external.flatMap((one) => (one.handler === handler ? [one.endedAt] : []));
  const lastMs = Math.max(recordedAt.getTime(), ...ends.map((end) => end?.getTime() ?? 0));
  return {
    ...{ at: new Date(lastMs), what: "handled", handler },
    text: "handled, its effects committed",
  };
};

/** What it is waiting for. */
const tellNow = ({ parked, letters, expected }: Told): Chapter[] => [
  ...parked.map(tellParked),
  ...letters
    .filter(({ state, handler }) => state === "open" && !parked.some(isOf(handler)))
    .map(({ id, handler }) => waiting(handler, `dead letter ${id} is open`)),
  ...expected.map(({ handler, group, behind }) => {
    const text = `not handled yet: group ${group} is ${behind} records before it`;
    return waiting(handler, text);
  }),
];

const isOf = (handler: string | null) => (one: ParkedFact) => one.handler === handler;

const tellParked = (one: ParkedFact): Chapter => {
  const { handler, head, state, ahead, isRunning, dueAt } = one;
  if (state === "dead") return waiting(handler, "waits for a decision");
  if (ahead > 0) {
    const text = `waits behind ${ahead} events of its key, parked key ${head}`;
    return waiting(handler, text);
  }
  if (isRunning) return waiting(handler, `runs right now, parked key ${head}`);
  const next = dueAt === null ? "when it is decided" : dueAt.toISOString();
  return waiting(handler, `is tried again at ${next}, parked key ${head}`);
};
