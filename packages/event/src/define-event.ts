/**
 * An event type: its name, version, topic and schema, and how an event of it is made and read.
 * A definition is frozen data; ids and the clock are passed to `create`.
 */

import * as v from "valibot";
import { assertDefinition } from "./attributes.ts";
import { headersFrom } from "./envelope.ts";
import type { Category, Cause, Envelope } from "./envelope.ts";
import { fault } from "./fault.ts";
import { problemsOf } from "./problems.ts";

export type DataSchema = v.GenericSchema<unknown, unknown>;

/** What a new event needs besides its data. */
export type Origin = Readonly<{
  /** A new UUID v7. */
  id: string;
  occurredAt: Date;
  sequence?: number;
  cause?: Cause;
}>;

export type EventDefinition<
  T extends string = string,
  S extends DataSchema = DataSchema,
> = Readonly<{
  type: T;
  version: number;
  source: string;
  category: Category;
  topic: string;
  schema: S;
  /** A new event. It is checked when it is written, not here. */
  create(data: v.InferInput<S>, origin: Origin): Envelope<v.InferOutput<S>, T>;
  /** The data of an event of this type, checked; throws `event_invalid` with a pointer a field. */
  parse(data: unknown): v.InferOutput<S>;
}>;

/** The envelope type of a definition. */
export type EventOf<E> =
  E extends EventDefinition<infer T, infer S> ? Envelope<v.InferOutput<S>, T> : never;

type EventSpec<T extends string, S extends DataSchema> = Readonly<{
  type: T;
  version: number;
  source: string;
  category: Category;
  topic: string;
  data: S;
  /** The id of the aggregate the event belongs to, taken from its data. */
  key(data: v.InferInput<S>): string;
}>;

/** Throws `event_invalid` for a type, version, source or category that no event can have. */
export const defineEvent = <const T extends string, S extends DataSchema>(
  spec: EventSpec<T, S>,
): EventDefinition<T, S> => {
  const { type, version, source, category, topic, data: schema, key } = spec;
  assertDefinition({ type, version, source, category });
  return Object.freeze({
    type,
    version,
    source,
    category,
    topic,
    schema,
    create: (data: v.InferInput<S>, origin: Origin) => ({
      id: origin.id,
      type,
      version,
      source,
      category,
      key: key(data),
      occurredAt: textOf(origin.occurredAt),
      data: data as v.InferOutput<S>,
      headers: headersFrom(origin.cause),
      ...(origin.sequence !== undefined && { sequence: origin.sequence }),
    }),
    parse: (data: unknown) => {
      const result = v.safeParse(schema, data);
      if (result.success) return result.output;
      throw fault("event_invalid", `Not a valid ${type} version ${version}`, {
        problems: problemsOf(result.issues),
      });
    },
  });
};

/** An invalid date has a text, too, which is refused when the event is written. */
const textOf = (date: Date): string =>
  Number.isNaN(date.getTime()) ? String(date) : date.toISOString();
