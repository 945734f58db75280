/** Topics that are looked into one after the other, with one budget for all of them. */

import type { SearchLimits } from "@outrider/broker";
import { isFault } from "@outrider/event";

type Looked = Readonly<{ examined: number; isWhole: boolean }>;

type Look<T> = Readonly<{
  look(topic: string, limits: SearchLimits): Promise<T>;
  /** The topics behind this one are not looked into. */
  isEnough(looked: T): boolean;
}>;

type Searched<T> = Readonly<{
  looks: readonly T[];
  /** Nothing of any topic is left, unless a look was enough. */
  isWhole: boolean;
}>;

/** A topic that a handler asks for need not be there: it is passed over. */
export const searchTopics = async <T extends Looked>(
  topics: readonly string[],
  budget: SearchLimits,
  { look, isEnough }: Look<T>,
): Promise<Searched<T>> => {
  const endMs = performance.now() + budget.deadlineMs;
  const looks: T[] = [];
  let { recordsMax } = budget;
  let isWhole = true;
  for (const topic of topics) {
    const deadlineMs = endMs - performance.now();
    if (deadlineMs <= 0 || recordsMax <= 0) return { looks, isWhole: false };
    const looked = await look(topic, { recordsMax, deadlineMs }).catch(noneIfUnknown);
    if (!looked) continue;
    looks.push(looked);
    recordsMax -= looked.examined;
    isWhole &&= looked.isWhole;
    if (isEnough(looked)) break;
  }
  return { looks, isWhole };
};

const noneIfUnknown = (error: unknown): undefined => {
  if (!isFault(error, "topic_unknown")) throw error;
};
