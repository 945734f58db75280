import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { redisSettings } from "../../packages/stack/src/redis.ts";

type Compose = Readonly<{
  services: Readonly<
    Record<
      string,
      Readonly<{
        image: string;
        ports: readonly string[];
        healthcheck: Readonly<{ test: readonly string[] }>;
        environment?: Readonly<Record<string, unknown>>;
        command?: readonly string[];
      }>
    >
  >;
}>;

const root = join(import.meta.dirname, "../..");
const text = (path: string) => Bun.file(join(root, path)).text();
const compose = Bun.YAML.parse(await text("compose.yaml")) as Compose;

describe("compose.yaml", () => {
  test("listens on loopback only, on the ports that the stack chooses", () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports);
    expect(ports).toEqual([
      "127.0.0.1:${OUTRIDER_POSTGRES_PORT:-54320}:5432",
      "127.0.0.1:${OUTRIDER_KAFKA_PORT:-9092}:9092",
      "127.0.0.1:${OUTRIDER_REDIS_PORT:-63790}:6379",
    ]);
  });

  test("runs the versions that the embedded services have", async () => {
    expect(compose.services.postgres?.image).toBe("postgres:18");
    const [, kafka] = /<version>(4[^<]*)</.exec(await text("packages/stack/pom.xml")) ?? [];
    expect(compose.services.kafka?.image).toBe(`apache/kafka:${kafka}`);
  });

  test("has a health check for each service", () => {
    for (const service of Object.values(compose.services)) {
      expect(service.healthcheck.test[0]).toBe("CMD");
    }
  });

  test("decodes logically and creates no topics by itself, as the embedded services", () => {
    expect(compose.services.postgres?.command).toContain("wal_level=logical");
    expect(compose.services.kafka?.environment?.KAFKA_AUTO_CREATE_TOPICS_ENABLE).toBe("false");
  });

  test("keeps what Redis holds as the embedded one does, and pins its version", () => {
    const { command = [], image } = compose.services.redis ?? {};
    expect(command.slice(-redisSettings.length)).toEqual([...redisSettings]);
    expect(image).toMatch(/^valkey\/valkey:\d+\.\d+$/);
  });
});
