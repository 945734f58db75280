/** Where a service comes from: the order in which the stack looks for one. */

import { fault } from "@outrider/event";

export type Tier = "embedded" | "docker";
export type Source = "given" | Tier;

/**
 * A URL in the settings, else a running Docker engine, else an embedded one; a forced tier leaves
 * a given URL alone. Throws Fault `missing_tool` when Docker is forced and does not run.
 */
export const chooseSource = (
  facts: Readonly<{ isGiven: boolean; tier: Tier | undefined; hasDocker: boolean }>,
): Source => {
  if (facts.isGiven) return "given";
  if (facts.tier === "docker" && !facts.hasDocker) {
    throw fault(
      "missing_tool",
      "No Docker engine with Compose answers; start one, or leave out OUTRIDER_STACK=docker.",
    );
  }
  return facts.tier ?? (facts.hasDocker ? "docker" : "embedded");
};
