import { expect, test } from "bun:test";
import { Command } from "commander";
import { apiOf, withApi } from "./arguments.ts";
import type { Finish } from "./arguments.ts";
import { addOperators } from "./main.ts";

const build = (): Command => {
  const program = withApi(new Command("outrider"));
  addOperators(program, (async () => {}) as unknown as Finish);
  return program;
};

const below = (command: Command): Command[] =>
  command.commands.flatMap((one) => [one, ...below(one)]);

test("no command has an option that the program would take away from it", () => {
  const program = build();
  const own = program.options.map((one) => one.long);
  expect(own.length).toBeGreaterThan(1);
  const taken = below(program).flatMap((command) =>
    command.options.filter((one) => own.includes(one.long)).map((one) => command.name() + one.long),
  );
  expect(taken).toEqual([]);
});

test("the API to work through is said anywhere among the arguments", () => {
  for (const args of [
    ["--url", "http://a", "--api-key", "k", "dead", "list", "--key", "order-7"],
    ["dead", "list", "--key", "order-7", "--url", "http://a", "--api-key", "k"],
  ]) {
    const program = build();
    program.parse(args, { from: "user" });
    expect(apiOf(program)).toEqual({ url: "http://a", key: "k" });
  }
  expect(apiOf(build().parse(["workers"], { from: "user" }))).toEqual({});
});
