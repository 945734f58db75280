/**
 * Telling a process from a later one with the same number: its number and the moment it was born
 * (in the kernel's own words) are what we record of a process that may outlive us.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export type ProcessId = Readonly<{ pid: number; born: string }>;

/** The identity of a running process, or undefined when there is none with this number. */
export const identify = (pid: number): ProcessId | undefined => {
  try {
    const born = process.platform === "linux" ? bornOnLinux(pid) : bornElsewhere(pid);
    return born === undefined ? undefined : { pid, born };
  } catch {
    return undefined;
  }
};

/** Whether exactly this process still runs. */
export const isAlive = (id: ProcessId): boolean => identify(id.pid)?.born === id.born;

/** The number of a process's parent, or undefined when the process is gone. */
export const parentOf = (pid: number): number | undefined => {
  try {
    const text =
      process.platform === "linux" ? statFields(pid)[1] : ps(["-o", "ppid=", "-p", String(pid)]);
    return text ? Number(text) : undefined;
  } catch {
    return undefined;
  }
};

/** The command line of a process, or "" when it is gone. */
export const commandOf = (pid: number): string => {
  try {
    return process.platform === "linux"
      ? readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()
      : ps(["-o", "command=", "-p", String(pid)]);
  } catch {
    return "";
  }
};

/** Boot and start time in clock ticks since it; a zombie counts as gone. */
const bornOnLinux = (pid: number): string | undefined => {
  const fields = statFields(pid);
  if (fields[0] === "Z") return undefined;
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${boot} ${fields[19]}`;
};

/** Fields of proc(5) stat from the third on: the second, a name, may contain anything. */
const statFields = (pid: number): readonly string[] => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
};

const bornElsewhere = (pid: number): string | undefined =>
  ps(["-o", "lstart=", "-p", String(pid)]) || undefined;

const ps = (args: readonly string[]): string =>
  execFileSync("ps", args, {
    encoding: "utf8",
    env: { LC_ALL: "C", PATH: "/bin:/usr/bin" },
  }).trim();
