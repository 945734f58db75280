import { expect, test } from "bun:test";
import { userName } from "./user.ts";

const users = () => "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
const named = (username: string, uid: number, read: () => string = users) =>
  userName({ username, uid }, read);

test("whoever runs the command has a name in the audit, whatever the environment says", () => {
  expect(named("ben", 1000)).toBe("ben");
  expect(["unknown", ""].map((name) => named(name, 1000))).toEqual(["ann", "ann"]);
  expect(named("unknown", 7)).toBe("uid 7");
  const missing = () => {
    throw new Error("no such file");
  };
  expect(named("unknown", 7, missing)).toBe("uid 7");
});
