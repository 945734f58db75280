/**
 * `.outrider/stack.json`: what runs in this folder, for people, tests and other tools. It is there
 * while everything is up, and gone otherwise.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeJson } from "./json-file.ts";

/** `pid` only for what was started here, `key` for what asks for one. */
export type Running = Readonly<{ url: string; pid?: number; key?: string }>;

export type StackFile = Readonly<{
  services: Readonly<Record<string, Running>>;
  apps: Readonly<Record<string, Running>>;
}>;

const pathIn = (stateDir: string): string => join(stateDir, "stack.json");

export const writeStackFile = (stateDir: string, content: StackFile): void =>
  writeJson(pathIn(stateDir), content);

export const readStackFile = (stateDir: string): StackFile | undefined =>
  readJson<StackFile>(pathIn(stateDir));

export const removeStackFile = (stateDir: string): void =>
  rmSync(pathIn(stateDir), { force: true });
