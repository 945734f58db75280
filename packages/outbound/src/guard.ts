/**
 * What keeps a request out of one's own network (server-side request forgery). Each part throws
 * Fault `forbidden`.
 */

import { isIP } from "node:net";
import type { LookupFunction } from "node:net";
import { fault } from "@outrider/event";
import type { Fault } from "@outrider/event";
import { isPublicAddress } from "./public-address.ts";

/** Without the brackets of an IPv6 address. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "");

export const guardUrl = (service: string, url: URL): void => {
  const isPlain = url.username === "" && url.password === "";
  if (/^https?:$/.test(url.protocol) && isPlain) return;
  throw fault("forbidden", `${service} must have a URL of http or https, without a password in it`);
};

/** An address in the URL itself, which is not looked up. */
export const guardAddress = (service: string, url: URL): void => {
  const host = hostOf(url);
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw refused(service, url, host);
};

/** Refuses a name with any address that is not public, so that none of them is connected to. */
export const guardLookup =
  (lookup: LookupFunction, service: string, url: URL): LookupFunction =>
  (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const all = Array.isArray(found) ? found : [];
      const wrong = all.find(({ address }) => !isPublicAddress(address));
      if (wrong) return callback(refused(service, url, wrong.address), []);
      const [first] = all;
      if (options.all || !first) return callback(null, all);
      callback(null, first.address, first.family);
    });

const refused = (service: string, { origin }: URL, address: string): Fault =>
  fault(
    "forbidden",
    `${service} is at ${address}, which is not a public address. ` +
      `If it belongs there, list ${origin} in OUTBOUND_ALLOWED_ORIGINS`,
  );
