/** What the stack tells while it works; the reporter of apps/cli draws it, tests collect it. */

export type Step = Readonly<{
  /** Says how far the step is: `compiling`, or `compiling 12 of 140 files`. */
  note(text: string): void;
  /** Ends the step. */
  end(): void;
}>;

export type Report = Readonly<{
  /** A line that stays. */
  say(line: string): void;
  /** Begins a step that may take long; the reporter adds the time it takes. */
  step(title: string): Step;
}>;

export const silentReport: Report = {
  say: () => {},
  step: () => ({ note: () => {}, end: () => {} }),
};

/** `postgres     ready in 1.2 s  postgres://...  (embedded 18.4)`, without its password. */
export const readyLine = (
  name: string,
  { url, edition }: Readonly<{ url: string; edition: string }>,
  tookMs: number,
): string => {
  const took = `ready in ${(tookMs / 1000).toFixed(1)} s`;
  return `${name.padEnd(12)} ${took.padEnd(15)} ${redacted(url)}  (${edition})`;
};

/** A URL without its password. */
export const redacted = (url: string): string => url.replace(/(:\/\/[^:/@]*):[^@]*@/, "$1:***@");
