import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { judge, parseRedisUrl, pingCommands } from "./redis-ready.ts";

const caught = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

describe("parseRedisUrl", () => {
  for (const text of ["", "s3cret", "localhost:6379", "http://:s3cret@localhost", "redis://"]) {
    test(`refuses "${text}", without repeating it`, () => {
      const error = caught(() => parseRedisUrl(text));
      expect(isFault(error, "settings_invalid")).toBe(true);
      expect(String(error)).toContain("redis://user:password@host:6379/0");
      expect(String(error)).not.toContain("s3cret");
    });
  }
});

describe("pingCommands", () => {
  const commands = (text: string) => pingCommands(parseRedisUrl(text));

  test("say who we are and which database is meant, where the URL does", () => {
    expect(commands("redis://localhost")).toEqual([["PING"]]);
    expect(commands("redis://localhost/")).toEqual([["PING"]]);
    expect(commands("redis://:p%40ss@localhost")).toEqual([["AUTH", "p@ss"], ["PING"]]);
    expect(commands("rediss://app:pw@localhost/3")).toEqual([
      ["AUTH", "app", "pw"],
      ["SELECT", "3"],
      ["PING"],
    ]);
  });
});

describe("judge", () => {
  const codeOf = (...answers: string[]) => {
    const error = caught(() => judge(answers));
    return isFault(error) ? error.code : error;
  };

  test("is ready on PONG", () => {
    expect(judge(["+PONG"])).toBe("ready");
    expect(judge(["+OK", "+OK", "+PONG"])).toBe("ready");
  });

  test("has patience while Redis reads its data", () => {
    expect(judge(["-LOADING Redis is loading the dataset in memory"])).toBeUndefined();
  });

  test("has none where the password is wrong or missing", () => {
    expect(codeOf("-WRONGPASS invalid username-password pair", "-NOAUTH x")).toBe("forbidden");
    expect(codeOf("-NOAUTH Authentication required.")).toBe("forbidden");
    expect(codeOf("-DENIED Redis is running in protected mode")).toBe("forbidden");
  });

  test("has none for what Redis cannot do, or what is not Redis", () => {
    expect(codeOf("-ERR DB index is out of range", "+PONG")).toBe("unavailable");
    expect(codeOf("HTTP/1.1 400 Bad Request")).toBe("unavailable");
    expect(codeOf("+OK")).toBe("unavailable");
    expect(codeOf()).toBe("unavailable");
  });
});
