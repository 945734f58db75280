/** What operators' decisions mean for the history that is to be found in Kafka. */

import type { Sql } from "@outrider/postgres";
import type { CommittedEvent } from "../checker/history.ts";

export type LetterOutcome = Readonly<{
  /** Of the event. */
  id: string;
  state: "open" | "redriven" | "discarded";
  replacedBy: string | null;
  code: string;
  /** Of its payload. */
  bytes: number;
}>;

export const readLetters = async (sql: Sql): Promise<LetterOutcome[]> => [
  ...(await sql<LetterOutcome[]>`
    select event_id::text as id, state, replaced_by::text as "replacedBy", code,
      octet_length(payload) as bytes
    from outrider.dead_letters where origin = 'relay'`),
];

/**
 * A discarded event is not to be in Kafka and leaves no gap that counts; an edited one is there
 * under its new id, in its old place.
 */
export const afterDecisions = (
  committed: readonly CommittedEvent[],
  letters: readonly LetterOutcome[],
): CommittedEvent[] => {
  const byId = new Map(letters.map((letter) => [letter.id, letter]));
  const lastOf = (id: string): string => {
    const next = byId.get(id)?.replacedBy;
    return next ? lastOf(next) : id;
  };
  const kept = committed.filter((event) => byId.get(lastOf(event.id))?.state !== "discarded");
  const reached = new Map<string, number>();
  return kept
    .toSorted((a, b) => a.sequence - b.sequence)
    .map(({ id, key }) => {
      const sequence = (reached.get(key) ?? 0) + 1;
      reached.set(key, sequence);
      return { id: lastOf(id), key, sequence };
    });
};

/** S9b: only what its topic refuses is given up. `bytesMax` is what the topic takes. */
export const checkInnocence = (letters: readonly LetterOutcome[], bytesMax: number): string[] =>
  letters
    .filter(({ code, bytes }) => code !== "MSG_SIZE_TOO_LARGE" || bytes < bytesMax)
    .map(({ id, code, bytes }) => `S9b: event ${id}, ${bytes} bytes, was buried for ${code}`);

/** S2 and S3: an account's version counts its events, and no money is made or lost. */
export const checkAccounts = async (sql: Sql): Promise<string[]> => {
  const wrong = await sql<{ name: string; version: number; events: number }[]>`
    select a.name, a.version, count(e.id)::int as events
    from public.accounts a left join public.committed_events e on e.key = a.name
    group by a.name, a.version having count(e.id) <> a.version`;
  const [sum] = await sql<{ balance: number }[]>`
    select sum(balance)::int as balance from public.accounts`;
  return [
    ...wrong.map((one) => `S2: ${one.name} has version ${one.version} and ${one.events} events`),
    ...(sum?.balance === 0 ? [] : [`S2: the balances add up to ${sum?.balance}`]),
  ];
};
