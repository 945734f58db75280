import { describe, expect, test } from "bun:test";
import { missingSentence } from "./tools.ts";

const tools = [
  { command: "mvn", debian: "maven" },
  { debian: "libssl-dev", brew: "openssl" },
];

describe("missingSentence", () => {
  const sentence = (host: Partial<Parameters<typeof missingSentence>[0]>) =>
    missingSentence({ platform: "linux", isDebian: true, isRoot: false, ...host }, "fly", tools);

  test("names what is missing and the command that installs it", () => {
    expect(sentence({})).toBe(
      "To fly, this machine still needs mvn, libssl-dev; install with: " +
        "sudo apt-get install -y maven libssl-dev",
    );
  });

  test("does not ask root to use sudo", () => {
    expect(sentence({ isRoot: true })).toEndWith("with: apt-get install -y maven libssl-dev");
  });

  test("names Homebrew's packages on macOS", () => {
    expect(sentence({ platform: "darwin", isDebian: false })).toEndWith(
      "with: brew install maven openssl",
    );
  });

  test("says that the names are Debian's where that is not Debian", () => {
    expect(sentence({ isDebian: false })).toContain("yours may differ");
  });
});
