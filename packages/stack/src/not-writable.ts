/** Folders that cannot be made or written, told in one sentence with the next step. */

import { fault } from "@outrider/event";

const refusals = ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENOSPC", "EDQUOT"];

/** A Fault where `cause` is such a refusal, else `cause` itself. */
export const notWritable = (folder: string, cause: unknown, nextStep: string): unknown => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (!refusals.includes(code)) return cause;
  return fault("forbidden", `${folder} cannot be written (${code}); ${nextStep}.`, { cause });
};
