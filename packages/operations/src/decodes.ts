/** Whether an event can be read by the schemas of today. */

import { decodeRecord } from "@outrider/event";
import type { Catalogue } from "@outrider/event";
import { headersOf } from "@outrider/postgres";
import type { Decodes } from "@outrider/redrive";

/** What no catalogue declares cannot be said more of than that it is an event. */
export const createDecodes =
  (catalogues: readonly Catalogue[]): Decodes =>
  ({ headers, topic, partition, offset, key, payload, occurredAt }) => {
    const catalogue = catalogues.find((one) => one.topics.some(({ name }) => name === topic));
    try {
      const event = decodeRecord({
        ...{ topic, partition: partition ?? 0, offset: offset ?? 0, value: payload },
        ...{ key: Buffer.from(key), timestampMs: occurredAt.getTime() },
        headers: headersOf(headers),
      });
      catalogue?.definitionOf(event.type, event.version).parse(event.data);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
