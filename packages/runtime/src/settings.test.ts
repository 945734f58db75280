import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import * as v from "valibot";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setting } from "./setting.ts";
import { describeSettings, loadSettings } from "./settings.ts";

const schema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  kafka: setting.kafka,
  port: setting.port(8080),
  logLevel: setting.logLevel,
});

const enough = {
  DATABASE_URL: "postgres://app:s3cret@db:5432/shop?sslpassword=s3cret",
  KAFKA_BOOTSTRAP_SERVERS: "a:9092,b:9092",
};

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (isFault(error, "settings_invalid")) return error.message;
    throw error;
  }
  throw new Error("it did not throw settings_invalid");
};

const withFile = <T>(text: string, use: (path: string) => T): T => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-settings-"));
  const path = join(folder, "settings.json");
  writeFileSync(path, text);
  try {
    return use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

describe("loadSettings", () => {
  test("fills in defaults and turns the environment's texts into values", () => {
    expect(loadSettings(schema, { env: { ...enough, PORT: "0" } })).toEqual({
      databaseUrl: enough.DATABASE_URL,
      kafka: { bootstrapServers: "a:9092,b:9092" },
      port: 0,
      logLevel: "info",
    });
  });

  test("later sources win: defaults, file, environment, overrides", () => {
    const file = JSON.stringify({
      port: 1,
      logLevel: "warn",
      kafka: { bootstrapServers: "file:1", sasl: { mechanism: "PLAIN", username: "of-file" } },
    });
    const settings = withFile(file, (path) =>
      loadSettings(schema, {
        env: { ...enough, OUTRIDER_SETTINGS: path, PORT: "2", KAFKA_SASL_PASSWORD: "p" },
        overrides: { port: 3 },
      }),
    );
    expect(settings).toMatchObject({
      port: 3,
      logLevel: "warn",
      kafka: {
        bootstrapServers: "a:9092,b:9092",
        sasl: { mechanism: "PLAIN", username: "of-file", password: "p" },
      },
    });
  });

  test("lists every problem at once, by environment name", () => {
    const message = messageOf(() =>
      loadSettings(schema, {
        env: { PORT: "70000", LOG_LEVEL: "loud", KAFKA_SASL_MECHANISM: "PLAIN", KAFKA_TLS: "yes" },
      }),
    );
    expect(message.split("\n").map((line) => line.trim())).toEqual([
      "These settings are wrong:",
      "KAFKA_TLS: must be true or false",
      "DATABASE_URL: is missing",
      "KAFKA_BOOTSTRAP_SERVERS: is missing",
      "KAFKA_SASL_USERNAME: is missing",
      "KAFKA_SASL_PASSWORD: is missing",
      "PORT: must be a whole number from 0 to 65535",
      "LOG_LEVEL: must be one of trace, debug, info, warn, error, fatal, silent",
    ]);
  });

  test("never shows a secret's value, not even a wrong one", () => {
    const env = { ...enough, DATABASE_URL: "mysql://root:s3cret@db/x" };
    expect(messageOf(() => loadSettings(schema, { env }))).not.toContain("s3cret");
    const overrides = { databaseUrl: 5353 };
    expect(messageOf(() => loadSettings(schema, { env: enough, overrides }))).not.toContain("5353");
  });

  test("refuses a key of the file that is no setting, and a file that is no JSON object", () => {
    const load = (path: string) =>
      messageOf(() => loadSettings(schema, { env: enough, file: path }));
    expect(withFile('{ "prot": 1 }', load)).toContain("prot: is not a setting of this process");
    expect(withFile("[]", load)).toContain("must hold a JSON object");
    expect(withFile('{ "databaseUrl": s3cret', load)).toMatch(/is not JSON$/);
    expect(load("/nowhere/settings.json")).toContain("cannot be read (ENOENT)");
  });

  test("reads a secret from the file that the _FILE variable names", () => {
    const url = "postgres://from:file@db/shop";
    const settings = withFile(`${url}\n`, (path) =>
      loadSettings(schema, { env: { ...enough, DATABASE_URL: "", DATABASE_URL_FILE: path } }),
    );
    expect(settings.databaseUrl).toBe(url);
  });

  test("refuses a secret that is given twice, and one whose file is not there", () => {
    const twice = { ...enough, DATABASE_URL_FILE: "/nowhere" };
    expect(messageOf(() => loadSettings(schema, { env: twice }))).toContain("_FILE too");
    const gone = { ...enough, DATABASE_URL: "", DATABASE_URL_FILE: "/nowhere" };
    const message = messageOf(() => loadSettings(schema, { env: gone }));
    expect(message).toContain("/nowhere, named by DATABASE_URL_FILE, cannot be read (ENOENT)");
    expect(message).not.toContain("is missing");
  });

  test("KAFKA_TLS=true asks for TLS, and a path for TLS with its authorities", () => {
    const tls = (env: Record<string, string>) =>
      loadSettings(schema, { env: { ...enough, ...env } }).kafka.tls;
    expect(tls({})).toBeUndefined();
    expect(tls({ KAFKA_TLS: "false" })).toBeUndefined();
    expect(tls({ KAFKA_TLS: "true" })).toEqual({});
    expect(tls({ KAFKA_TLS_CA_PATH: "ca.pem" })).toEqual({ caPath: "ca.pem" });
  });
});

describe("setting.redisUrl", () => {
  const redis = v.strictObject({ redisUrl: setting.redisUrl });
  const load = (url: string) => loadSettings(redis, { env: { REDIS_URL: url } });

  for (const url of [
    "redis://localhost",
    "redis://127.0.0.1:6379",
    "redis://[::1]:6379/",
    "redis://:s3cret@cache:6379/3",
    "rediss://app:s3cret@cache.example:6380",
  ]) {
    test(`takes ${url}`, () => {
      expect(load(url)).toEqual({ redisUrl: url });
    });
  }

  for (const url of [
    "localhost:6379",
    "http://:s3cret@cache",
    "redis://",
    "redis://:s3cret@cache/jobs",
    "redis:s3cret",
    "s3cret",
  ]) {
    test(`refuses ${url}, and says what one looks like`, () => {
      const message = messageOf(() => load(url));
      expect(message).toContain("REDIS_URL: must be like redis://user:password@host:6379/0");
      expect(message).not.toContain("s3cret");
    });
  }

  test("is shown without its password, with or without a user's name", () => {
    const shown = (url: string) => describeSettings(redis, load(url)).REDIS_URL;
    expect(shown("redis://:s3cret@cache:6379/3")).toBe("redis://cache:6379/3");
    expect(shown("rediss://app:s3cret@cache")).toBe("rediss://app:[hidden]@cache");
  });
});

test("describeSettings hides secrets, and of a URL what is secret in it", () => {
  const env = {
    ...enough,
    KAFKA_SASL_MECHANISM: "PLAIN",
    KAFKA_SASL_USERNAME: "me",
    KAFKA_SASL_PASSWORD: "s3cret",
  };
  expect(describeSettings(schema, loadSettings(schema, { env }))).toEqual({
    DATABASE_URL: "postgres://app:[hidden]@db:5432/shop",
    KAFKA_BOOTSTRAP_SERVERS: "a:9092,b:9092",
    KAFKA_SASL_MECHANISM: "PLAIN",
    KAFKA_SASL_USERNAME: "me",
    KAFKA_SASL_PASSWORD: "[hidden]",
    PORT: 8080,
    LOG_LEVEL: "info",
  });
});
