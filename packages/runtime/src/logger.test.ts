import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import { createLogger } from "./logger.ts";

const lineOf = (write: (log: ReturnType<typeof createLogger>) => void): string => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLogger({ name: "test", level: "debug", destination }));
  return lines.join("");
};

test("a line is JSON with its level by name, its time and its fields", () => {
  const line = JSON.parse(lineOf((log) => log.warn({ eventId: "e", shard: 3 }, "slow")));
  expect(line).toMatchObject({ level: "warn", name: "test", eventId: "e", shard: 3, msg: "slow" });
  expect(new Date(line.time).toISOString()).toBe(line.time);
});

test("payloads, passwords and authorization are never logged", () => {
  const line = lineOf((log) =>
    log.info(
      {
        event: { id: "e", data: { card: "4111" } },
        request: { headers: { authorization: "Bearer 4111" } },
        payload: "4111",
        url: "postgres://app:4111@db/shop",
      },
      "connected to redis://:4111@cache",
    ),
  );
  expect(line).not.toContain("4111");
  expect(line).toContain("postgres://app:[hidden]@db/shop");
});

test("an error is told with its causes and without a statement's parameters", () => {
  const driver = Object.assign(new Error("duplicate key"), { code: "23505", detail: "(4111)" });
  const query = new Error("Failed query: insert into t values ($1)\nparams: 4111", {
    cause: driver,
  });
  const line = lineOf((log) => {
    const err = fault("unavailable", "No database", { cause: query, details: { try: 2 } });
    log.error({ err }, "failed");
  });
  expect(line).not.toContain("4111");
  const { err } = JSON.parse(line);
  expect(err).toMatchObject({ type: "Fault", code: "unavailable", details: { try: 2 } });
  expect(err.cause.message).toBe("Failed query: insert into t values ($1)");
  expect(err.cause.cause).toMatchObject({ message: "duplicate key", code: "23505" });
  expect(err.stack[0]).toStartWith("at ");
});

test("parameters that look like the lines of a stack are not told either", () => {
  const err = new Error("Failed query: select $1\nparams: x\n    at 4111 (card.ts)\nat 4111");
  const line = lineOf((log) => log.error({ err }, "failed"));
  expect(line).not.toContain("4111");
  expect(JSON.parse(line).err.stack[0]).toContain("logger.test.ts");
});

test("what is thrown need not be an error, and causes may go in circles", () => {
  const circle = new Error("round");
  circle.cause = circle;
  const line = JSON.parse(lineOf((log) => log.error({ err: circle, error: "text" }, "failed")));
  expect(line.error).toBe("text");
  expect(line.err.cause.message).toBe("round");
  const two = new AggregateError([new Error("v4"), new Error("v6")], "");
  expect(lineOf((log) => log.error({ err: two }, "failed"))).toContain('"message":"v6"');
});

test("an error that cannot be read, or is huge, is a short line all the same", () => {
  const getter = {
    get: () => {
      throw new Error("no");
    },
  };
  const hostile: unknown[] = [
    ...["message", "code", "name", "stack", "cause", "details"].map((name) =>
      Object.defineProperty(new Error("x"), name, getter),
    ),
    Object.create(null),
    new Proxy({}, { getPrototypeOf: getter.get, ...getter }),
    new Error("m".repeat(30_000_000)),
    Object.assign(new Error("x"), { code: "c".repeat(30_000_000) }),
    "t".repeat(30_000_000),
    { huge: "o".repeat(30_000_000) },
    Symbol("why"),
  ];
  for (const err of hostile) {
    const line = lineOf((log) => log.error({ err }, "failed"));
    expect(JSON.parse(line).msg).toBe("failed");
    expect(line.length).toBeLessThan(30_000);
  }
});
