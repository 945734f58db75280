/** Handlers are never held back. */

import type { createBreakers } from "../../packages/inbox/src/breaker.ts";

export const closedBreakers: ReturnType<typeof createBreakers> = {
  isOpen: () => false,
  open: () => [],
  admit: async () => "all",
  tryProbe: async () => false,
  yield: async () => {},
  succeeded: async () => {},
  failed: async () => {},
  stop: async () => {},
};
