/** Reads the nested errors of the client: what Kafka itself said is somewhere inside. */

/** Kafka's error codes: topic, group and cluster authorization, SASL authentication. */
const refusals: readonly number[] = [29, 30, 31, 58];

/** Every Kafka error code inside `error`; never throws. */
export const apiCodes = (error: unknown): readonly number[] => {
  const codes = new Set<number>();
  const seen = new Set<unknown>();
  const pending: unknown[] = [error];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if ("apiCode" in next && typeof next.apiCode === "number") codes.add(next.apiCode);
    if ("errors" in next && Array.isArray(next.errors)) pending.push(...next.errors);
    if ("cause" in next) pending.push(next.cause);
  }
  return [...codes];
};

/** True when Kafka refused the caller, which no second try will change. */
export const isRefusal = (error: unknown): boolean =>
  apiCodes(error).some((code) => refusals.includes(code));

/** The client tells Kafka's "unknown topic" in words of its own, without the code. */
export const saysUnknownTopic = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("Unknown topic ");
