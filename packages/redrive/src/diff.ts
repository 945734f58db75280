/** How two payloads differ, for people. */

import { createTwoFilesPatch } from "diff";

/** Characters of a diff that is kept; a longer one is cut. */
const diffCharsMax = 64_000;

/** A unified diff, of indented JSON where both are JSON; in one line what are no texts. */
export const diffOf = (before: Uint8Array, after: Uint8Array): string => {
  const texts = [before, after].map(textOf);
  const [from, to] = texts;
  if (from === undefined || to === undefined) {
    return `${before.length} bytes became ${after.length} bytes`;
  }
  const patch = createTwoFilesPatch("before", "after", from, to);
  return patch.length > diffCharsMax ? `${patch.slice(0, diffCharsMax)}\n(cut)` : patch;
};

const decoder = new TextDecoder("utf-8", { fatal: true });

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    const text = decoder.decode(bytes);
    return text.includes("\0") ? undefined : indented(text);
  } catch {
    return undefined;
  }
};

const indented = (text: string): string => {
  try {
    return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
  } catch {
    return text;
  }
};
