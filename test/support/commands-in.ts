/** The commands that a page of Markdown tells its reader to run. */

/** What stands for something in them, and what a test puts there. */
const placeholders: Readonly<Record<string, string>> = {
  NAME: "kills",
  ID: "00000000-0000-7000-8000-000000000000",
  N: "1",
  S: "1",
  R: "because",
};

/** Lines of blocks marked `sh`, and pieces of `code` that begin with one of these programs. */
const programs = /^(time )?(bun|bunx|npx|curl)\s/;

export const commandsIn = (page: string): readonly string[] => {
  const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block = ""]) =>
    block.replaceAll("\\\n", " ").split("\n"),
  );
  const rest = page.replaceAll(/^```[\s\S]*?^```$/gm, "");
  const pieces = [...rest.matchAll(/`([^`]+)`/g)].map(([, piece = ""]) => piece);
  // In a table's cell, the later ones leave the beginning out.
  const cells = [...rest.matchAll(/^\| `bun run outrider .*?`, `([a-z]+ [a-z ]+)`/gm)];
  return [
    ...blocks.filter((line) => line.trim() !== "" && !line.startsWith("#")),
    ...pieces.map((piece) => piece.replaceAll(/\s+/g, " ")).filter((one) => programs.test(one)),
    ...cells.map(([, piece = ""]) => `bun run outrider ${piece}`),
  ].map((command) => command.replace(/\s+#\s.*$/, "").trim());
};

/** With everything optional, a value for what stands for one, and without the runner's name. */
export const filledIn = (command: string): string =>
  command
    .replaceAll(/\[(.*?)\]/g, "$1")
    .replace(/^time /, "")
    .replace(/^npx --yes bun@\S+/, "bun")
    .replaceAll(/\b[A-Z]+\b/g, (word) => placeholders[word] ?? word);
