import { expect, test } from "bun:test";
import { countUnread } from "./life.ts";

const at = (partition: number) => ({ topic: "t", partition });

test("a partition that nobody reads counts from the first look that finds it", () => {
  const partitions = [at(0), at(1)];
  const look = (before: ReturnType<typeof countUnread>, ...read: number[]) =>
    countUnread(before, { partitions, read: read.map(at), lookMs: 5 });
  const first = look([], 0);
  expect(first).toEqual([{ ...at(1), forMs: 0 }]);
  expect(look(first, 0)).toEqual([{ ...at(1), forMs: 5 }]);
  expect(look(look(first, 0), 1)).toEqual([{ ...at(0), forMs: 0 }]);
  expect(look(first, 0, 1)).toEqual([]);
});
