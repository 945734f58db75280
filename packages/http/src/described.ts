/** What a schema says of itself in the OpenAPI document. Validation does not change by it. */

import * as v from "valibot";

/** The schema with what it means and what a value looks like, for those who read of it. */
export const about = <const S extends v.GenericSchema>(
  schema: S,
  description: string,
  ...examples: readonly unknown[]
) => v.pipe(schema, v.metadata({ description, ...(examples.length > 0 && { examples }) }));

type Naming = Readonly<{ name: string; description: string; examples?: readonly unknown[] }>;

/** A schema that stands once in the document, under its name, and is referred to. */
export const named = <const S extends v.GenericSchema>(
  schema: S,
  { name, description, examples }: Naming,
) => v.pipe(schema, v.metadata({ ref: name, description, ...(examples && { examples }) }));

/** The name that `named` has given, or that nothing has. */
export const nameOf = (schema: v.GenericSchema): string | undefined => {
  const { ref } = v.getMetadata(schema);
  return typeof ref === "string" ? ref : undefined;
};
