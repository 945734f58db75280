/**
 * What a process has said about its end: the last lines of its log that tell of an error, out of
 * the many that follow it. Reads what Postgres, Redis and Kafka write, and the JSON of our own.
 */

/** Lines of a quotation. */
const linesMax = 5;
/** Of a line; the rest of a longer one is in the log. */
const charsMax = 300;

const telling = new RegExp(
  [
    // Kafka, Postgres; Redis marks warnings with #.
    ...["\\b(ERROR|FATAL|PANIC|SEVERE)\\b", "^\\d+:\\w .* # ", "FATAL CONFIG FILE"],
    ...["[Ee]rror:", "Exception:", "[Aa]ddress already in use", "No space left"],
  ].join("|"),
);
/** A frame of a stack trace says nothing to who has not written the program. */
const isFrame = (line: string): boolean => /^\s*(at |\.\.\. \d+ more|\d+ \| |\^)/.test(line);
/** In pino's numbers: error. */
const errorLevel = 50;

/** The lines that tell of errors; the last ones of all where none does. */
export const lastWords = (log: string): string => {
  const lines = log
    .split("\n")
    .map(readable)
    .filter((line) => line.text.trim() !== "" && !isFrame(line.text));
  const errors = lines.filter((line) => line.isError);
  const chosen = errors.length > 0 ? errors : lines;
  return chosen
    .slice(-linesMax)
    .map(({ text }) => (text.length > charsMax ? `${text.slice(0, charsMax)}...` : text))
    .join("\n");
};

/** The last line alone, for a sentence. */
export const lastWord = (log: string): string => lastWords(log).split("\n").at(-1) ?? "";

type Line = Readonly<{ text: string; isError: boolean }>;

const readable = (line: string): Line => {
  const entry = line.startsWith("{") ? parse(line) : undefined;
  if (!entry) return { text: line, isError: telling.test(line) && !isFrame(line) };
  const { level = 0, msg = "", err } = entry;
  const reason = err?.message && !msg.includes(err.message) ? `: ${err.message}` : "";
  return { text: `${msg}${reason}`.split("\n")[0] ?? "", isError: level >= errorLevel };
};

type Entry = Readonly<{ level?: number; msg?: string; err?: Readonly<{ message?: string }> }>;

const parse = (line: string): Entry | undefined => {
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return undefined;
  }
};
