/**
 * Settings of the server that a database, a role or the server's own file may have changed, and
 * what they must be for what is sent and read to mean what it says. Settings that change speed
 * only, such as the planner's, are left as they are, and so is what an operator brakes with
 * (`default_transaction_read_only`, `transaction_timeout`): nothing of it is silent.
 */

/** Nothing overrides these on a connection of ours: neither its URL nor its parameters. */
export const pinned = {
  client_encoding: "UTF8",
  // The driver cuts two characters off what it takes for hex.
  bytea_output: "hex",
  // The driver reads dates as JavaScript does: months before days, and no offsets in seconds, which
  // every time zone but UTC has before about 1900.
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  // Below 1 the digits of a float do not give it back.
  extra_float_digits: "1",
  standard_conforming_strings: "on",
  array_nulls: "on",
  // The fences of outbox and inbox are right in READ COMMITTED and wrong above it.
  default_transaction_isolation: "read committed",
} as const;

const { client_encoding, DateStyle, TimeZone, standard_conforming_strings } = pinned;

/** Those that PgBouncer passes on; it refuses a connection that begins with any other. */
export const passedOn = { client_encoding, DateStyle, TimeZone, standard_conforming_strings };

/** Taken instead of what the server would say, unless the connection's settings say otherwise. */
export const usual: Readonly<Record<string, string>> = {
  search_path: '"$user", public',
  // A pool keeps connections, and a listener says nothing for hours.
  idle_session_timeout: "0",
};

type Requirement = Readonly<{ mustBe: string; isRight(value: string): boolean }>;

const exactly = (mustBe: string): Requirement => ({ mustBe, isRight: (value) => value === mustBe });

/** What outbox and inbox ask of a connection that they did not open. */
export const required: Readonly<Record<string, Requirement>> = {
  client_encoding: exactly(pinned.client_encoding),
  bytea_output: exactly(pinned.bytea_output),
  DateStyle: { mustBe: pinned.DateStyle, isRight: (value) => value.startsWith("ISO") },
  extra_float_digits: { mustBe: "1 or more", isRight: (value) => Number(value) >= 1 },
  standard_conforming_strings: exactly(pinned.standard_conforming_strings),
  array_nulls: exactly(pinned.array_nulls),
  default_transaction_isolation: exactly(pinned.default_transaction_isolation),
  // Triggers make events durable and keep the audit; only a superuser can set this.
  session_replication_role: { mustBe: "origin", isRight: (value) => value !== "replica" },
};
