/** Which dead letters are meant. Everything that is said has to hold. */

import type { Sql, TransactionSql } from "@outrider/postgres";

export const letterStates = ["open", "redriven", "discarded"] as const;
export type LetterState = (typeof letterStates)[number];

export type LetterFilter = Readonly<{
  ids?: readonly number[] | undefined;
  /** None with a lower id. */
  idMin?: number | undefined;
  state?: LetterState | undefined;
  /** Who gave up. */
  origin?: "relay" | "handler" | undefined;
  handler?: string | undefined;
  topic?: string | undefined;
  code?: string | undefined;
  /** Of a group: letters that died of the same. */
  fingerprint?: string | undefined;
  /** Whole, as text. */
  key?: string | undefined;
  eventId?: string | undefined;
  /** When they were buried, the last time. */
  since?: Date | undefined;
  until?: Date | undefined;
  /** Somewhere in the payload or the message, upper and lower case as they are. */
  text?: string | undefined;
}>;

/** A condition on `outrider.dead_letters letter`. */
export const matches = (sql: Sql | TransactionSql, filter: LetterFilter) => {
  const { ids, idMin, state, origin, handler, topic, code, fingerprint, key, eventId } = filter;
  const { since, until, text } = filter;
  const all = [
    ids && sql`letter.id = any(${ids}::bigint[])`,
    idMin !== undefined && sql`letter.id >= ${idMin}`,
    state && sql`letter.state = ${state}`,
    origin && sql`letter.origin = ${origin}`,
    // Of the relay's there is no index, but of those without a handler.
    origin === "relay" && sql`letter.handler is null`,
    handler !== undefined && sql`letter.handler = ${handler}`,
    topic !== undefined && sql`letter.topic = ${topic}`,
    code !== undefined && sql`letter.code = ${code}`,
    fingerprint !== undefined && sql`letter.fingerprint = ${fingerprint}`,
    key !== undefined && sql`sha256(letter.key) = sha256(convert_to(${key}, 'UTF8'))`,
    eventId !== undefined && sql`letter.event_id = ${eventId}::uuid`,
    since && sql`letter.buried_at >= ${since}`,
    until && sql`letter.buried_at < ${until}`,
    text !== undefined &&
      sql`(strpos(letter.message, ${text}) > 0
        or position(convert_to(${text}, 'UTF8') in letter.payload) > 0)`,
  ].filter((one) => typeof one === "object");
  return all.reduce((before, one) => sql`${before} and ${one}`, sql`true`);
};
