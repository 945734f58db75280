/** The work's result, or "late" when it takes longer; it is not stopped, and may fail unheard. */
export const within = async <T>(timeoutMs: number, work: Promise<T>): Promise<T | "late"> => {
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};
