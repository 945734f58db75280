import { describe, expect, test } from "bun:test";
import { lastWord, lastWords } from "./last-words.ts";

const kafka = `2026-01-31T12:00:01.000Z [main] INFO kafka.server.KafkaRaftServer - started
2026-01-31T12:00:02.000Z [log-cleaner] ERROR LogDirFailureChannel - Error while writing to log
java.io.IOException: No space left on device
	at java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)
	at java.base/java.lang.Thread.run(Thread.java:840)
2026-01-31T12:00:02.100Z [handler] ERROR ReplicaManager - Shutdown broker: all log dirs failed
2026-01-31T12:00:02.200Z [hook] INFO kafka.server.SharedServer - Stopping SharedServer
`;

describe("last words", () => {
  test("of Kafka are its errors and their cause, without frames and what follows", () => {
    const words = lastWords(kafka);
    expect(words.split("\n")).toHaveLength(3);
    expect(words).toContain("No space left on device");
    expect(lastWord(kafka)).toEndWith("all log dirs failed");
  });

  test("of Postgres and Redis are their errors", () => {
    const postgres = `2026-01-31 12:00:00 UTC [7]  LOG:  starting PostgreSQL 18.4
2026-01-31 12:00:00 UTC [7]  LOG:  could not bind IPv4 address "127.0.0.1": Address already in use
2026-01-31 12:00:00 UTC [7]  FATAL:  could not create any TCP/IP sockets
2026-01-31 12:00:00 UTC [7]  LOG:  database system is shut down`;
    expect(lastWords(postgres).split("\n")).toHaveLength(2);
    expect(lastWord(postgres)).toEndWith("could not create any TCP/IP sockets");
    const redis = `7:M 31 Jan 2026 12:00:00.000 * Ready to accept connections
7:M 31 Jan 2026 12:00:01.000 # Can't open the append-only file: Permission denied
7:M 31 Jan 2026 12:00:01.100 * bye`;
    expect(lastWords(redis)).toEndWith("Permission denied");
  });

  test("of our own processes are messages and reasons, out of their JSON", () => {
    const log = `{"level":30,"msg":"listening"}
{"level":60,"msg":"relay could not start","err":{"message":"no such topic","stack":"x"}}
{"level":30,"msg":"relay has stopped"}`;
    expect(lastWords(log)).toBe("relay could not start: no such topic");
  });

  test("are the last lines where nothing tells of an error, and short in any case", () => {
    expect(lastWords("a\nb\n\n")).toBe("a\nb");
    expect(lastWords("")).toBe("");
    expect(lastWords("x\n".repeat(99)).split("\n")).toHaveLength(5);
    expect(lastWords("y".repeat(9999)).length).toBeLessThan(400);
    expect(lastWords("{not json")).toBe("{not json");
  });
});
