/** Something for each line of an answer, read from the database while it is sent. */

import { fault } from "@outrider/event";
import { asFault } from "@outrider/http";

/**
 * As fast as they are read, and no further. After a failure the connection is cut: an end would
 * say that these were all. `first` was taken from them before.
 */
export const exportLines = <T>(
  first: IteratorResult<T>,
  others: AsyncGenerator<T>,
  onError: (error: unknown) => void,
): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  let next = first;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (next.done) return controller.close();
    controller.enqueue(encoder.encode(`${JSON.stringify(next.value)}\n`));
    try {
      next = await others.next();
    } catch (error) {
      onError(error);
      const { code, message } = asFault(error);
      controller.error(fault(code, message));
    }
  };
  const cancel = async () => void (await others.return(undefined));
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
};
