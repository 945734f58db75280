import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { Fault } from "@outrider/event";
import { exportLines } from "./export-lines.ts";

const create = async (failsAt = Infinity) => {
  const seen = { read: 0, isOver: false, errors: [] as unknown[] };
  const numbers = (async function* (): AsyncGenerator<number> {
    try {
      for (; seen.read < 1000; seen.read += 1) {
        if (seen.read === failsAt) throw fault("unavailable", "away", { cause: "secret" });
        yield seen.read;
      }
    } finally {
      seen.isOver = true;
    }
  })();
  const onError = (error: unknown) => void seen.errors.push(error);
  return { seen, stream: exportLines(await numbers.next(), numbers, onError) };
};

test("everything is told, one a line", async () => {
  const { seen, stream } = await create();
  const lines = (await new Response(stream).text()).split("\n");
  expect([lines.length, lines[0], lines[999], lines[1000]]).toEqual([1001, "0", "999", ""]);
  expect(seen.isOver).toBe(true);
});

test("nothing is read ahead of who reads, and nothing more when he has gone", async () => {
  const { seen, stream } = await create();
  expect(seen.read).toBe(0);
  const reader = stream.getReader();
  for (let at = 0; at < 3; at += 1) await reader.read();
  expect(seen.read).toBe(3);
  await reader.cancel();
  expect([seen.read, seen.isOver]).toEqual([3, true]);
});

test("a failure in the middle is no end, and its cause is for the log alone", async () => {
  const { seen, stream } = await create(2);
  const failure = await new Response(stream).text().catch((error: unknown) => error);
  const { code, message, cause } = failure as Fault;
  expect([code, message, cause]).toEqual(["unavailable", "away", undefined]);
  expect(seen.errors).toMatchObject([{ cause: "secret" }]);
});
