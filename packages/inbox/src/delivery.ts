/** A record on its way to handlers, decoded at most once and only when one of them wants it. */

import { decodeRecord, fault, headerTexts, readType } from "@outrider/event";
import type { Envelope, KafkaRecord } from "@outrider/event";
import { eventIdOf } from "./event-id.ts";
import type { Handler } from "./handler.ts";

export type Delivery = Readonly<{
  record: KafkaRecord;
  /** The id that the inbox knows it by, also where it cannot be decoded. */
  eventId: string;
  /**
   * Whether the handler asked for this type, in any version. A record whose headers do not tell is
   * wanted by all: nobody can know that it is not theirs, and skipping it would lose it.
   */
  isFor(handler: Handler): boolean;
  /** It is for the handler in a version that the handler does not know. */
  isOfUnknownVersion(handler: Handler): boolean;
  /**
   * With a UUID as its id and its data checked. Throws `version_unknown`, whatever the bytes are,
   * `undecodable` or `event_invalid`.
   */
  eventFor(handler: Handler): Envelope;
}>;

export const createDelivery = (given: KafkaRecord): Delivery => {
  const record = bounded(given);
  const type = readType(record.headers);
  let decoded: Envelope | undefined;

  const decode = (): Envelope => {
    const event = decodeRecord(record);
    return { ...event, id: eventIdOf(event.source, event.id) };
  };

  const isOfUnknownVersion = (handler: Handler): boolean =>
    type !== undefined &&
    handler.knows(type.type) &&
    handler.definitionOf(type.type, type.version) === undefined;

  let eventId: string | undefined;

  return {
    record,
    get eventId() {
      return (eventId ??= eventIdOfRecord(record));
    },
    isFor: (handler) => !type || handler.knows(type.type),
    isOfUnknownVersion,
    eventFor: (handler) => {
      if (type && isOfUnknownVersion(handler)) {
        const what = `version ${type.version} of ${type.type}`;
        throw fault(
          "version_unknown",
          `${handler.name} does not know ${what}: deploy one that does`,
        );
      }
      decoded ??= decode();
      const definition = handler.definitionOf(decoded.type, decoded.version);
      return definition ? { ...decoded, data: definition.parse(decoded.data) } : decoded;
    },
  };
};

/** The last moment of a Date, in milliseconds either side of 1970. */
const timeMaxMs = 8.64e15;

/** A record's time is whatever its producer says, such as nanoseconds. */
const bounded = (record: KafkaRecord): KafkaRecord => {
  const { timestampMs } = record;
  if (Math.abs(timestampMs) <= timeMaxMs) return record;
  return { ...record, timestampMs: timestampMs > 0 ? timeMaxMs : 0 };
};

/** What the inbox knows it by. Without an id of its own that is its place in the log. */
export const eventIdOfRecord = ({ headers, topic, partition, offset }: KafkaRecord): string => {
  const { ce_id: id, ce_source: source = "" } = textsOf(headers);
  return id ? eventIdOf(source, id) : eventIdOf(topic, `${partition}/${offset}`);
};

const textsOf = (headers: KafkaRecord["headers"]): Record<string, string> => {
  try {
    return headerTexts(headers);
  } catch {
    return {};
  }
};
