/**
 * What each of Kafka's and librdkafka's refusals asks for. What is not listed here is the
 * producer's own trouble: another one is opened and reads the same rows again. Errors that
 * librdkafka retries by itself (a lost leader, too few replicas, a request that timed out) never
 * come this far. docs/design.md has the table with the tests.
 */

import kafka from "@confluentinc/kafka-javascript";
import type { RefusalScope } from "@outrider/event";

const { ERRORS } = kafka.CODES;

const scopes: Readonly<Record<number, RefusalScope>> = {
  // The same bytes would be refused again.
  [ERRORS.ERR_MSG_SIZE_TOO_LARGE]: "record",
  [ERRORS.ERR_RECORD_LIST_TOO_LARGE]: "record",
  [ERRORS.ERR__BAD_MSG]: "record",
  [ERRORS.ERR__INVALID_ARG]: "record",
  // INVALID_RECORD, which the client's table does not have.
  87: "record",
  // Any record of the topic would be refused, until somebody mends the topic or the rights to it.
  [ERRORS.ERR_TOPIC_AUTHORIZATION_FAILED]: "topic",
  [ERRORS.ERR_UNKNOWN_TOPIC_OR_PART]: "topic",
  [ERRORS.ERR__UNKNOWN_TOPIC]: "topic",
  [ERRORS.ERR__UNKNOWN_PARTITION]: "topic",
  [ERRORS.ERR_TOPIC_EXCEPTION]: "topic",
  // A record's time is that of this host's clock. Topics that take the broker's time go on.
  [ERRORS.ERR_INVALID_TIMESTAMP]: "topic",
};

const names = new Map(Object.entries(ERRORS).map(([name, code]) => [code, nameOf(name)]));

/** `ERR__UNKNOWN_TOPIC` is `UNKNOWN_TOPIC` for people. */
function nameOf(constant: string): string {
  return constant.replace(/^ERR_+/, "");
}

export const scopeOf = (code: number): RefusalScope => scopes[code] ?? "producer";

const hints: Readonly<Record<number, string>> = {
  [ERRORS.ERR_INVALID_TIMESTAMP]:
    "; the clock of this host and the broker's are further apart than the topic takes",
};

/** What is to be mended, where the broker's words do not say it. */
export const hintOf = (code: number): string => hints[code] ?? "";

export const reasonOf = (code: number): string => names.get(code) ?? `code ${code}`;
