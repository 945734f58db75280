/** One request over a connection of its own, and its answer, whatever its status. */

import * as http from "node:http";
import * as https from "node:https";
import type { LookupFunction } from "node:net";
import { fault } from "@outrider/event";
import type { OutboundAnswer } from "./answer.ts";

export type Exchange = Readonly<{
  method: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  lookup: LookupFunction;
  signal: AbortSignal;
}>;

export type ExchangeLimits = Readonly<{ connectMaxMs: number; answerBytesMax: number }>;

/** Throws whatever happens on the way, and Fault `too_large` for an answer that is too long. */
export const exchange = async (
  url: URL,
  { body, ...options }: Exchange,
  { connectMaxMs, answerBytesMax }: ExchangeLimits,
): Promise<OutboundAnswer> => {
  const isSecure = url.protocol === "https:";
  const { request: open } = isSecure ? https : http;
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request = open(url, { ...options, agent: false });
    const giveUp = (): void =>
      void request.destroy(fault("timeout", `no connection within ${connectMaxMs} ms`));
    const timer = setTimeout(giveUp, connectMaxMs);
    const connected = (): void => clearTimeout(timer);
    request.once("socket", (socket) => {
      socket.once(isSecure ? "secureConnect" : "connect", connected);
    });
    request.once("response", resolve);
    request.once("error", reject);
    request.once("close", connected);
    request.end(body);
  });
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: await readBody(response, answerBytesMax),
  };
};

/** Leaving the loop ends the connection. */
const readBody = async (response: http.IncomingMessage, bytesMax: number): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > bytesMax) throw fault("too_large", `more than ${bytesMax} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
};
