import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import { createPresence } from "./presence.ts";

const graceMs = 20;

const scene = () => {
  const lines: string[] = [];
  const note = (level: string) => (_fields: object, message: string) =>
    void lines.push(`${level} ${message.split(":")[0]}`);
  const log: Log = {
    child: () => log,
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
  };
  let isReady = true;
  const presence = createPresence({ log, isReady: () => isReady, graceMs });
  const [one, two] = [new EventEmitter(), new EventEmitter()];
  presence.watch(one);
  presence.watch(two);
  const turn = (connection: EventEmitter, event: "close" | "ready", ready: boolean): void => {
    isReady = ready;
    connection.emit(event);
  };
  return { lines, presence, one, two, turn };
};

describe("the presence of Redis", () => {
  test("tells a loss of several connections once, and their return once", async () => {
    const { lines, one, two, turn } = scene();
    for (const connection of [one, two, one, two, one]) turn(connection, "close", false);
    await delay(graceMs * 2);
    turn(one, "close", false);
    await delay(graceMs * 2);
    turn(one, "ready", false);
    expect(lines).toEqual(["warn Redis is away"]);
    turn(two, "ready", true);
    turn(one, "ready", true);
    expect(lines).toEqual(["warn Redis is away", "info Redis is back"]);
  });

  test("does not tell a loss that is mended at once", async () => {
    const { lines, one, turn } = scene();
    turn(one, "close", false);
    turn(one, "ready", true);
    await delay(graceMs * 2);
    expect(lines).toEqual([]);
  });

  test("says no more once it is stopped", async () => {
    const { lines, presence, one, turn } = scene();
    turn(one, "close", false);
    presence.stop();
    turn(one, "close", false);
    await delay(graceMs * 2);
    turn(one, "ready", true);
    expect(lines).toEqual([]);
  });

  test("knows the errors of its connections from others", () => {
    const { presence, one } = scene();
    const loss = new Error("ECONNRESET");
    one.emit("error", loss);
    expect(presence.isLoss(loss)).toBe(true);
    expect(presence.isLoss(new Error("OOM"))).toBe(false);
  });
});
