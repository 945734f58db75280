/**
 * Ports that somebody else has taken between the moment they were found free and the moment our
 * own process listened. Whoever starts a process on a port tries another one then.
 */

import { fault, isFault } from "@outrider/event";
import { probePort } from "./ports.ts";

/** How often a service moves on to another port. */
export const portTriesMax = 5;

const inUse = /address already in use|EADDRINUSE|port is already allocated|port \d+ in use/i;

/** Whether these words of a program say that it did not get its port. */
export const saysTaken = (words: string): boolean => inUse.test(words);

/** True when `log` says so, or when somebody listens there while nothing of ours does any more. */
export const isTaken = async (port: number, log = ""): Promise<boolean> =>
  saysTaken(log) || (await probePort(port)) === undefined;

export const portTaken = (name: string, port: number, cause?: unknown) =>
  fault("unavailable", `Port ${port} of ${name} was taken by another process meanwhile.`, {
    details: { takenPort: port },
    cause,
  });

export const isPortTaken = (error: unknown): boolean =>
  isFault(error, "unavailable") && error.details.takenPort !== undefined;
