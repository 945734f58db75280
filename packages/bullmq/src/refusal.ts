/** What Redis says when it refuses a command, in words and with the next step. */

const meanings: readonly (readonly [RegExp, string])[] = [
  // The second is what a command hears that was waiting when the primary became a replica.
  [
    /\bREADONLY\b|instance state changed/,
    "it is a read-only replica. Name its primary in REDIS_URL",
  ],
  [/\bOOM\b/, "its memory is full. Raise its maxmemory, or remove what else it holds"],
  [
    /\b(WRONGPASS|NOAUTH)\b/,
    "it refuses the password. Set the right one in REDIS_URL, and start this process again",
  ],
  [/\bNOPERM\b/, "its user may not do that. Grant it all commands on outrider:* with ACL SETUSER"],
  [/\bMISCONF\b/, "it cannot save what it holds. Make room on its disk; its log says more"],
];

/** Undefined for what is no refusal that has a next step. */
export const meaningOf = (error: Error): string | undefined =>
  meanings.find(([pattern]) => pattern.test(error.message))?.[1];

/** What Redis has answered, as ioredis calls it: not that it could not be asked. */
export const isAnswer = (error: unknown): error is Error =>
  error instanceof Error && error.name === "ReplyError";
