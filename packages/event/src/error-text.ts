/** What may be logged and stored of an error: not the data that libraries quote in it. */

/** Drizzle writes a statement's parameters behind the statement. */
export const withoutParameters = (message: string): string => message.replace(/\nparams:[^]*$/, "");

/** More than any frames take; a message may be longer. */
const framesCharsMax = 25_000;

/**
 * The lines of a stack that say where something was called. A stack begins with the message, whose
 * own lines may look like that.
 */
export const stackFrames = (stack: string, message: string): string[] => {
  const at = message === "" ? -1 : stack.indexOf(message);
  const called = at < 0 ? stack : stack.slice(at + message.length);
  const frames = called.slice(-framesCharsMax).split("\n");
  return frames.filter((line) => /^\s+at /.test(line));
};
