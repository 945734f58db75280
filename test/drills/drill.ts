/** What a drill is: something that has to hold and takes minutes to be seen. */

export type DrillContext = Readonly<{
  env: Readonly<Record<string, string | undefined>>;
  /** A folder of the run's own, with its logs. */
  folder: string;
  say(line: string): void;
}>;

export type DrillResult = Readonly<{
  /** What was done and what was seen, in Markdown, below the page's title; without a date. */
  text: string;
  /** What did not hold, a sentence each. */
  failures: readonly string[];
}>;

export type Drill = Readonly<{
  /** One line for the list. */
  what: string;
  run(context: DrillContext): Promise<DrillResult>;
}>;
