/** Who asks, and what they may. */

import { fault } from "@outrider/event";

export const scopes = ["events:read", "parked:write", "dead-letters:redrive", "admin"] as const;

/** `admin` may everything. */
export type Scope = (typeof scopes)[number];

export type Caller = Readonly<{
  /** As the audit has it: the name of a key, or of a user of this machine. */
  name: string;
  /** Null: a command on the machine itself. */
  key: number | null;
  scopes: readonly Scope[];
}>;

/** One of these is needed. Throws `forbidden`. To may change things is not to may look at them. */
export const assertScope = (caller: Caller, needed: readonly Scope[]): void => {
  if (caller.scopes.some((one) => one === "admin" || needed.includes(one))) return;
  const what = needed.join(" or ");
  throw fault("forbidden", `The key ${caller.name} does not have the scope ${what}`);
};
