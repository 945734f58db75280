/** The record of a counted event of 300 bytes with 8 headers, as the relay would write it. */

import { randomUUID } from "node:crypto";
import type { PublishRecord } from "@outrider/event";
import { recordOf } from "../../packages/outbox/src/relay/record.ts";
import { payloadBytes } from "./backlog.ts";

const headers =
  '{"ce_time": "2026-11-20T10:00:00.000Z", "ce_source": "bench", ' +
  '"content-type": "application/json"}';

export type CountedRecord = Readonly<{
  topic: string;
  key: string;
  /** Which one of its key. */
  n: number;
  eventId?: string;
}>;

export const countedRecord = ({
  topic,
  key,
  n,
  eventId = randomUUID(),
}: CountedRecord): PublishRecord =>
  recordOf({
    ...{ id: n, eventId, type: "bench.counted", version: 1, sequence: null, topic },
    ...{ key: Buffer.from(key), headers, createdMs: 0 },
    payload: Buffer.from(`${`{"key":"${key}","n":${n},"text":"`.padEnd(payloadBytes - 2, "x")}"}`),
  });
