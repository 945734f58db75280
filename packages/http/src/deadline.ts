/** The outcome of `work`, or of `late` when it takes longer; work that is late goes on unheard. */
export const withDeadline = async <T>(
  work: Promise<T>,
  limitMs: number,
  late: () => Promise<T>,
): Promise<T> => {
  const { promise, resolve } = Promise.withResolvers<T>();
  const timer = setTimeout(() => resolve(late()), limitMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
};
