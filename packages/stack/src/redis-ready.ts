/**
 * Whether a Redis answers PING with PONG, and waiting until it does. It speaks the few words of
 * RESP that this takes, over TCP or TLS.
 */

import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { fault, isFault } from "@outrider/event";
import { waitFor } from "./wait.ts";
import type { Wait } from "./wait.ts";

const pollMs = 25;
const answerTimeoutMs = 5_000;
const usualPort = 6_379;

export type RedisWait = Omit<Wait, "what" | "pollMs"> &
  Readonly<{
    /** Asked before each try; throws to end the wait. */
    check?: () => void;
    /** Of the server that has to answer: another one on its port does not count. */
    processId?: number;
  }>;

/**
 * Throws Fault `settings_invalid` when `text` is no URL of a Redis, `forbidden` when Redis refuses
 * us, `unavailable` when it cannot do what the URL says or is no Redis, and `timeout`, which says
 * how the last try went.
 */
export const waitForRedis = async (text: string, wait: RedisWait): Promise<void> => {
  const url = parseRedisUrl(text);
  let last: unknown;
  const tryOnce = async () => {
    wait.check?.();
    try {
      const { processId } = wait;
      const answers = await ask(url, pingCommands(url), wait.signal);
      if (judge(answers) === undefined || processId === undefined) return judge(answers);
      return (await processIdAt(url, wait.signal)) === processId ? "ready" : undefined;
    } catch (error) {
      if (isFault(error)) throw error;
      last = error;
      return undefined;
    }
  };
  await waitFor({ ...wait, what: "Redis to answer", pollMs }, tryOnce).catch((error: unknown) => {
    if (!isFault(error, "timeout")) throw error;
    const reason = last instanceof Error ? ` The last try: ${last.message}` : "";
    throw fault("timeout", `${error.message}${reason}`, { cause: last });
  });
};

export const parseRedisUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^rediss?:$/.test(url.protocol) && url.hostname !== "") return url;
  throw fault("settings_invalid", "A Redis is named like redis://user:password@host:6379/0.");
};

/** What says who we are, where the URL does, and then PING; in RESP. */
export const pingCommands = (url: URL): readonly (readonly string[])[] => {
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  const database = url.pathname.slice(1);
  return [
    ...(password === "" ? [] : [["AUTH", ...(user === "" ? [] : [user]), password]]),
    ...(database === "" ? [] : [["SELECT", database]]),
    ["PING"],
  ];
};

const refusal = /^-(NOAUTH|WRONGPASS|NOPERM|DENIED)\b/;

/**
 * What the answers to `pingCommands` mean: "ready", or undefined while Redis asks for patience,
 * such as when it reads its data. Throws what no patience will cure.
 */
export const judge = (answers: readonly string[]): "ready" | undefined => {
  const bad = answers.find((answer) => !answer.startsWith("+"));
  if (bad === undefined && answers.at(-1) === "+PONG") return "ready";
  const details = { answer: bad ?? answers.at(-1) };
  if (bad === undefined || !/^-[A-Z]+ /.test(bad)) {
    throw fault("unavailable", "What answers there is not Redis.", { details });
  }
  if (refusal.test(bad)) throw fault("forbidden", "Redis does not let us in.", { details });
  if (bad.startsWith("-ERR ")) throw fault("unavailable", `Redis says: ${bad.slice(5)}`);
  return undefined;
};

const encode = (command: readonly string[]): string => {
  const words = command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${command.length}\r\n${words.join("")}`;
};

const open = (url: URL) => {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port) || usualPort;
  return url.protocol === "rediss:" ? connectTls({ host, port }) : connect({ host, port });
};

type Command = readonly string[];

/** The number of the process that answers, in its own words. */
const processIdAt = async (url: URL, signal: AbortSignal | undefined): Promise<number> => {
  const commands = [...pingCommands(url).slice(0, -1), ["INFO", "server"]];
  const told = /^process_id:(\d+)$/;
  const isOver = (lines: readonly string[]) => lines.some((one) => told.test(one));
  const lines = await exchange(url, commands, { signal, isOver });
  return Number(lines.map((line) => told.exec(line)?.[1]).find((id) => id !== undefined));
};

/** The answers to all `commands`, or up to the first that is not well. */
const ask = async (
  url: URL,
  commands: readonly Command[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> => {
  const isOver = (lines: readonly string[]) =>
    lines.length >= commands.length || lines.some((one) => one[0] !== "+");
  return (await exchange(url, commands, { signal, isOver })).slice(0, commands.length);
};

/** The lines of what is answered, up to where `isOver`. */
const exchange = (
  url: URL,
  commands: readonly Command[],
  { signal, isOver }: { signal: AbortSignal | undefined; isOver(lines: string[]): boolean },
): Promise<readonly string[]> =>
  new Promise((resolve, reject) => {
    const socket = open(url);
    const timer = setTimeout(() => end(new Error("no answer")), answerTimeoutMs);
    const onAbort = () => end(new Error("aborted"));
    const end = (result: Error | readonly string[]) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.destroy();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    let received = "";
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("error", end);
    socket.on("close", () => end(new Error("the connection was closed")));
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      const lines = received.split("\r\n").slice(0, -1);
      if (isOver(lines)) end(lines);
    });
    socket.write(commands.map(encode).join(""));
  });
