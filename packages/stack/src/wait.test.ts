import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { waitFor } from "./wait.ts";

const wait = { what: "a sign", timeoutMs: 50, pollMs: 1 };

describe("waitFor", () => {
  test("asks until there is an answer", async () => {
    let asked = 0;
    expect(await waitFor(wait, async () => ((asked += 1) < 3 ? undefined : asked))).toBe(3);
  });

  test("gives up when time is up, and says what it waited for", async () => {
    const error = await waitFor(wait, async () => undefined).catch((caught: unknown) => caught);
    expect(isFault(error, "timeout")).toBe(true);
    expect(String(error)).toContain("a sign");
  });

  test("does not go on after an error", async () => {
    let asked = 0;
    const ask = async () => {
      asked += 1;
      throw new Error("dead");
    };
    await expect(waitFor(wait, ask)).rejects.toThrow("dead");
    expect(asked).toBe(1);
  });

  test("ends with the reason of an abort", async () => {
    const controller = new AbortController();
    const signal = controller.signal;
    const waiting = waitFor({ ...wait, timeoutMs: 60_000, signal }, async () => undefined);
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});
