/** What the worker can do without for a while. */

import { fault } from "@outrider/event";
import type { Inbox } from "@outrider/inbox";

/** Throws `unavailable` while retries may come late. */
export const checkTimers = (inbox: Pick<Inbox, "hasTimers">, redisUrl?: string): void => {
  if (inbox.hasTimers()) return;
  const why = redisUrl === undefined ? "REDIS_URL is not set" : "Redis is away";
  throw fault("unavailable", `${why}: retries come up to a second late`);
};
