/** What became of the events of a run's workers. */

import type { Sql } from "@outrider/postgres";
import { checkHandled } from "../checker/check-handled.ts";
import type { HandledEvent } from "../checker/check-handled.ts";
import { chaosHandlers, isKiller, isPoison } from "../support/chaos-handlers.ts";

export const createEffects = async (sql: Sql): Promise<void> => {
  // Not unique: what happens twice is to be seen twice.
  await sql`
    create table public.effects (
      position bigint generated always as identity, handler text, event_id uuid, key text,
      sequence int)`;
};

/** How many outcomes are missing, of these events and of what is parked. */
export const countUndecided = async (
  sql: Sql,
  events: readonly HandledEvent[],
): Promise<number> => {
  const [row] = await sql<{ count: number }[]>`
    select (
      (select count(*) from outrider.parked) +
      (select count(*) from outrider.dead_letters where state = 'open') +
      (select count(*)
        from unnest(${events.map((event) => event.id)}::uuid[]) as event (id)
        cross join unnest(${chaosHandlers.map((handler) => handler.name)}::text[]) as h (name)
        where not exists (
          select from outrider.inbox i where i.handler = h.name and i.event_id = event.id))
    )::int as count`;
  return row?.count ?? -1;
};

type LetterRow = Readonly<{ id: string; state: string; replacedBy: string | null; code: string }>;

/** Of the events of our own; what is foreign has no place in the order of a key. */
export const checkHandlers = async (
  sql: Sql,
  events: readonly HandledEvent[],
  foreign: ReadonlySet<string>,
): Promise<string[]> => {
  const isOwn = ({ id }: Readonly<{ id: string }>) => !foreign.has(id);
  const violations: string[] = [];
  for (const { name, ordering } of chaosHandlers) {
    const made = await sql<HandledEvent[]>`
      select event_id::text as id, key, sequence from public.effects
      where handler = ${name} order by position`;
    const effects = made.filter(isOwn);
    const inbox = await sql<{ id: string; state: string }[]>`
      select event_id::text as id, state from outrider.inbox where handler = ${name}`;
    const given = await sql<LetterRow[]>`
      select event_id::text as id, state, replaced_by::text as "replacedBy", code
      from outrider.dead_letters where handler = ${name}`;
    const letters = given.filter(isOwn);
    const states = new Map(inbox.map((row) => [row.id, row.state]));
    const history = { events, effects, states, letters, isOrdered: ordering === "key" };
    for (const one of checkHandled(history)) {
      violations.push(`${one.kind} ${one.subject} of ${name}: ${one.detail}`);
    }
    violations.push(...checkGuilt(name, letters));
  }
  return violations;
};

/** S9b: only what can never succeed is given up. */
const checkGuilt = (handler: string, letters: readonly LetterRow[]): string[] =>
  letters
    .filter(({ id, code }) => {
      const isGuilty =
        code === "PROCESS_KILLED" ? isKiller(id) : code === "invalid" && isPoison(id);
      return !isGuilty;
    })
    .map(({ id, code }) => `S9b: event ${id} was given up by ${handler} for ${code}`);
