/** What a service's answer means for whoever asked: the service's words for "later" and "never". */

import type { IncomingHttpHeaders } from "node:http";
import { fault } from "@outrider/event";
import type { Fault, FaultCode } from "@outrider/event";

export type OutboundAnswer = Readonly<{
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}>;

/** What a handler's retry policy makes of each code stands in packages/inbox. */
const codes: Readonly<Record<number, FaultCode>> = {
  // The service is away or has too much to do: the event is not to blame.
  ...{ 408: "unavailable", 425: "unavailable", 429: "unavailable" },
  ...{ 502: "unavailable", 503: "unavailable", 504: "unavailable" },
  // The same request is refused again.
  ...{ 400: "invalid", 413: "invalid", 414: "invalid", 415: "invalid", 422: "invalid" },
};

/** Undefined for 2xx. Any other status is a failure, a redirect as well, since none is followed. */
export const refusalOf = (
  service: string,
  { status, headers }: Omit<OutboundAnswer, "body">,
  nowMs: number,
): Fault | undefined => {
  if (status >= 200 && status < 300) return undefined;
  const isRedirect = status >= 300 && status < 400;
  const message = `${service} answered ${status}${isRedirect ? ", which is not followed" : ""}`;
  const retryAfterMs = retryAfterMsOf(headers["retry-after"], nowMs);
  return fault(codes[status] ?? "internal", message, { retryAfterMs });
};

/** RFC 9110: seconds, or a date. Undefined for anything else, and for what is over. */
const retryAfterMsOf = (text: string | undefined, nowMs: number): number | undefined => {
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return ms > 0 ? ms : undefined;
};
