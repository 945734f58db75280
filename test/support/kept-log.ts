import type { Log } from "@outrider/event";

export type KeptLine = Readonly<{ level: string; fields: object; message: string }>;

/** A log that keeps its lines from `info` on, for tests that ask what was told. */
export const createKeptLog = (): { log: Log; lines: KeptLine[] } => {
  const lines: KeptLine[] = [];
  const withFields = (more: object): Log => {
    const keep = (level: string) => (fields: object, message: string) =>
      void lines.push({ level, fields: { ...more, ...fields }, message });
    return {
      child: (fields) => withFields({ ...more, ...fields }),
      debug: () => {},
      info: keep("info"),
      warn: keep("warn"),
      error: keep("error"),
    };
  };
  return { log: withFields({}), lines };
};
