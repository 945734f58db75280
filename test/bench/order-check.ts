/** Checks a log in one pass and in little memory: the n-th event of a key says n in its payload. */

export type OrderResult = Readonly<{
  /** Distinct events. */
  events: number;
  duplicates: number;
  /** What is wrong, some of it; empty when everything is there and in order. */
  problems: readonly string[];
}>;

const problemsMax = 10;

/** Keys must not spread over partitions, and a partition's records come in their order. */
export const createOrderCheck = () => {
  const reached = new Map<string, number>();
  const problems: string[] = [];
  let events = 0;
  let duplicates = 0;

  const report = (problem: string): void => {
    if (problems.length < problemsMax) problems.push(problem);
  };

  return {
    note: (key: string, value: Buffer): void => {
      const n = Number(/^\{"n":(\d+)/.exec(value.toString("latin1", 0, 20))?.[1]);
      const last = reached.get(key) ?? 0;
      if (n <= last) {
        duplicates += 1;
        return;
      }
      if (n !== last + 1) report(`event ${n} of ${key} came right after event ${last}`);
      reached.set(key, n);
      events += 1;
    },
    result: (expected: number): OrderResult => {
      if (events !== expected) report(`${events} of ${expected} events are there`);
      return { events, duplicates, problems };
    },
  };
};
