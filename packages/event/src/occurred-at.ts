/** When an event occurred, as its text says it. */

const form = /^(?!0000)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|\+00:00)$/;
const dateChars = "2026-01-02".length;

/**
 * Milliseconds since 1970, of an RFC 3339 time in UTC between the years 0001 and 9999. Undefined
 * for any other text, and for a day that its month does not have.
 */
export const occurredMsOf = (text: string): number | undefined => {
  const ms = form.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) return undefined;
  // Some parsers take 30 February for 2 March.
  const isRealDay = new Date(ms).toISOString().slice(0, dateChars) === text.slice(0, dateChars);
  return isRealDay ? ms : undefined;
};
