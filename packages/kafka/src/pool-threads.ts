/**
 * How many threads libuv's pool has to have. Each consumer has one of them wait for records nearly
 * all the time, and a second one for a question or a close; the rest is for the probe and for
 * what the process does besides: names, files, hashes.
 */
export const poolThreadsFor = (consumers: number): number =>
  Math.min(consumers * threadsPerConsumer + threadsBesides, threadsMax);

const threadsPerConsumer = 2;
const threadsBesides = 4;
/** Of libuv. */
const threadsMax = 1024;
