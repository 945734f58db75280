/** The services, and a Node that can load the Kafka client: what it takes to run the apps. */

import { ensureAddon } from "./addon.ts";
import type { NodeBinary } from "./node-binary.ts";
import { startStack } from "./stack.ts";
import type { Stack, StackOptions } from "./stack.ts";

/**
 * Does both at the same time, since each may take minutes the first time, and both or neither.
 * `importer` is the manifest of a package that depends on the client. Throws what either throws.
 */
export const startStackWithNode = async (
  options: StackOptions & Readonly<{ importer: string }>,
): Promise<Readonly<{ stack: Stack; node: NodeBinary }>> => {
  const failed = new AbortController();
  const signals = options.signal ? [options.signal, failed.signal] : [failed.signal];
  const both = { ...options, signal: AbortSignal.any(signals) };
  const abortOther = (error: unknown) => {
    failed.abort(error);
    throw error;
  };
  const [stack, node] = await Promise.allSettled([
    startStack(both).catch(abortOther),
    ensureAddon(both).catch(abortOther),
  ]);
  if (stack.status === "fulfilled" && node.status === "fulfilled") {
    return { stack: stack.value, node: node.value };
  }
  if (stack.status === "fulfilled") await stack.value.stop();
  throw failed.signal.reason;
};
