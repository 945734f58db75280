/** A body of JSON as its bytes say it: nothing in it is replaced, and all of it can be stored. */

import { fault } from "@outrider/event";
import type { HonoRequest } from "hono";

/** Levels below the body itself. Deeper is no data, and ends what walks through it by calls. */
const depthMax = 1000;

// A parser of JSON may ignore a byte order mark (RFC 8259), which some callers write.
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The body, checked. Hono's own `json()` gives the same then, and `arrayBuffer()` the bytes.
 * Throws `malformed` for what is not UTF-8 or not JSON, is nested too deep, or has half of a
 * surrogate pair, which no text of Postgres and no UTF-8 can hold.
 */
export const readJson = async (req: HonoRequest): Promise<unknown> => {
  const body = parsed(textOf(await req.arrayBuffer()));
  assertCarried(body);
  return body;
};

const textOf = (bytes: ArrayBuffer): string => {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw fault("malformed", "The body is not valid UTF-8", { cause });
  }
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw fault("malformed", "The body is not valid JSON", { cause });
  }
};

const assertCarried = (body: unknown): void => {
  let level = [body];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > depthMax) {
      throw fault("malformed", `The body may be nested ${depthMax} levels deep`);
    }
    if (level.some((one) => typeof one === "string" && !one.isWellFormed())) {
      throw fault("malformed", "The body has half of a surrogate pair, such as \\ud800");
    }
    level = level.flatMap(partsOf);
  }
};

/** The names of fields, too. */
const partsOf = (value: unknown): unknown[] => {
  if (Array.isArray(value)) return value;
  return typeof value === "object" && value !== null ? Object.entries(value).flat() : [];
};
