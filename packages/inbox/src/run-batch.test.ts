import { expect, test } from "bun:test";
import { defineEvent } from "@outrider/event";
import * as v from "valibot";
import { defineBatchHandler } from "./handler.ts";
import { runInTime } from "./run-batch.ts";

const placed = defineEvent({
  type: "order.placed",
  version: 1,
  source: "test",
  category: "domain",
  topic: "orders",
  data: v.object({ id: v.string() }),
  key: (data) => data.id,
});

test("a handler that throws at once has ended, too", async () => {
  const run = () => {
    throw new Error("at once");
  };
  const handler = defineBatchHandler({ name: "test.handler", on: [placed], run });
  const said: boolean[] = [];
  const how = {
    ...{ handler, attempt: 1, stopping: new AbortController().signal },
    onRun: (_: string, isRunning: boolean) => void said.push(isRunning),
  } as unknown as Parameters<typeof runInTime>[0];
  const event = placed.create({ id: "1" }, { id: "1", occurredAt: new Date(0) });
  const unit = {} as Parameters<typeof runInTime>[2];
  await expect(runInTime(how, [event], unit)).rejects.toThrow("at once");
  expect(said).toEqual([true, false]);
});
