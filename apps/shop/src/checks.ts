/** What the worker can do without for a while. */

import { fault } from "@outrider/event";
import type { Inbox } from "@outrider/inbox";

/** Throws `unavailable` while retries may come late, with what is wrong and what to do. */
export const checkTimers = async (
  inbox: Pick<Inbox, "checkTimers">,
  redisUrl?: string,
): Promise<void> => {
  const late = "Retries come up to a second late until then";
  if (redisUrl === undefined) throw fault("unavailable", `REDIS_URL is not set. ${late}`);
  await inbox.checkTimers().catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw fault("unavailable", `${why}. ${late}`, { cause });
  });
};
