import { expect, test } from "bun:test";
import { ownEnv, pickEnv, withoutProxyToLoopback } from "./own-env.ts";

test("what is started gets what is listed, and nothing else", () => {
  const env = { PATH: "/bin", HOME: "/root", NODE_OPTIONS: "x", PGHOST: "x", LC_ALL: "x", TZ: "x" };
  expect(ownEnv(env)).toEqual({ PATH: "/bin", HOME: "/root", LC_ALL: "C.UTF-8", TZ: "UTC" });
  expect(pickEnv({ A: "1", AB: "2", B: "3" }, ["A", /^B$/])).toEqual({ A: "1", B: "3" });
});

test("no proxy is between us and loopback, whatever else goes past it", () => {
  const loopback = "127.0.0.1,localhost,[::1]";
  expect(withoutProxyToLoopback({}).NO_PROXY).toBe(loopback);
  const more = withoutProxyToLoopback({ no_proxy: "intra.example,localhost", A: "1" });
  const all = "intra.example,localhost,127.0.0.1,[::1]";
  expect(more).toEqual({ A: "1", NO_PROXY: all, no_proxy: all });
  expect(withoutProxyToLoopback({ NO_PROXY: "*" })).toEqual({ NO_PROXY: "*" });
});
