/** General English for the training mix: glosses, examples and names of all of WordNet, silent about held-out concepts. */
import type { Random } from './random.ts';
import type { HeldOut } from './splits.ts';
import type { WordNet } from './wordnet.ts';

const GENERAL_LINES = 90_000;
const SHORTEST = 3;
const LONGEST = 300;

/** Distinct lines in random order. */
export function generalText(wordNet: WordNet, heldOut: HeldOut, random: Random): string[] {
  const lines = new Set<string>();
  for (const { id, definition, examples, lemmas } of wordNet.synsets.values()) {
    if (heldOut.has(id)) continue;
    for (const text of [definition, ...examples, lemmas[0]?.text ?? '']) {
      if (text.length >= SHORTEST && text.length <= LONGEST) lines.add(text);
    }
  }
  const chosen: string[] = [];
  for (const line of random.sample([...lines], lines.size)) {
    if (chosen.length === GENERAL_LINES) break;
    if (!heldOut.mentions(line)) chosen.push(line);
  }
  return chosen;
}
