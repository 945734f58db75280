/** What a request says about where it comes from, taken only when it is well-formed. */

/** Nothing that could break a log line or a header, and not longer than a few ids. */
export const requestIdOf = (header: string | undefined): string | undefined =>
  header !== undefined && /^[\w.:~+/=-]{1,128}$/.test(header) ? header : undefined;

/** W3C Trace Context: version, trace id, parent id, flags; ids of zeros only are not valid. */
const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export const traceparentOf = (header: string | undefined): string | undefined =>
  header !== undefined && traceparent.test(header) ? header : undefined;

export const traceIdOf = (header: string | undefined): string | undefined => header?.split("-")[1];
