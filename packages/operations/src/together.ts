/**
 * One load for all who wait for it, and one at a time. Whoever comes amid a load waits for the next
 * one, so that nobody is told what was true before they asked.
 */
export const createTogether = <T>(load: () => Promise<T>): (() => Promise<T>) => {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  const begin = (): Promise<T> => {
    next = undefined;
    return load();
  };
  return () => {
    if (next) return next;
    next = last.then(begin, begin);
    last = next;
    return next;
  };
};
