/**
 * Typos for training: a query is shown with a random edit while its target stays that of the clean one, so that the
 * encoder learns to read past them (as in Zhuang and Zuccon, "CharacterBERT and Self-Teaching", SIGIR 2022).
 */

/** Shorter words are left alone: an edit makes another word of them. */
const SHORTEST = 4;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** At place `at` of a word: what a typo makes of it. */
const EDITS: readonly ((word: readonly string[], at: number, random: () => number) => string[])[] = [
  // left out
  (word, at) => word.toSpliced(at, 1),
  // doubled
  (word, at) => word.toSpliced(at, 0, word[at]!),
  // swapped with the next
  (word, at) =>
    at + 1 < word.length
      ? word.toSpliced(at, 2, word[at + 1]!, word[at]!)
      : word.toSpliced(at - 1, 2, word[at]!, word[at - 1]!),
  // another letter
  (word, at, random) => word.toSpliced(at, 1, LETTERS[Math.floor(random() * LETTERS.length)]!),
];

/** A text with one edit in one of its longer words; texts without such a word as they are. @param random Uniform in [0, 1). */
export function withTypo(text: string, random: () => number): string {
  const words = text.split(' ');
  const longer = words.flatMap((word, i) => ([...word].length >= SHORTEST ? [i] : []));
  if (longer.length === 0) return text;
  const draw = (count: number) => Math.floor(random() * count);
  const chosen = longer[draw(longer.length)]!;
  const letters = [...words[chosen]!];
  const edited = EDITS[draw(EDITS.length)]!(letters, draw(letters.length), random);
  return words.with(chosen, edited.join('')).join(' ');
}
