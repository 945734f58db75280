import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseChecksums } from "./checksums.ts";
import { kafkaVersion, sortOut } from "./kafka-jars.ts";

const text = (name: string) => readFileSync(join(import.meta.dirname, "..", name), "utf8");
const names = [...parseChecksums(text("kafka-jars.sha256")).keys()];

describe("the list of jars", () => {
  test("has what the pom names, in the pom's versions", () => {
    const named = [...text("pom.xml").matchAll(/<artifactId>([^<*]+)<.*\n\s*<version>([^<]+)</g)]
      .map(([, artifact, version]) => `${artifact}-${version}.jar`)
      .filter((name) => !/^(embedded-kafka|maven-dependency-plugin)-/.test(name));
    expect(named).toHaveLength(3);
    expect(names).toEqual(expect.arrayContaining(named));
    expect(named).toContain(`kafka_2.13-${kafkaVersion}.jar`);
  });

  test("gives Kafka a class path without the jar of Redis", () => {
    const { classPath, redisJar } = sortOut("/jars", names);
    expect(redisJar).toMatch(/^\/jars\/embedded-redis-[\d.]+\.jar$/);
    const onPath = classPath.split(":");
    expect(onPath).toHaveLength(names.length - 1);
    expect(onPath).not.toContain(redisJar);
    expect(onPath).toEqual(onPath.toSorted());
  });
});
