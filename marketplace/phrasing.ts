/** How people type: shopping phrases, words out of order, typos, words of a gloss when the name escapes them. */
import type { Random } from './random.ts';
import { isFunctionWord, plural, stem, tokens } from './word-forms.ts';

/** Shopping phrases around a thing; `%` is the thing in the plural where it has one, `#` in the singular. */
const PHRASES: readonly string[] = [
  'buy %',
  'buy # online',
  'cheap %',
  'best %',
  'best # to buy',
  '% for sale',
  '% near me',
  '% online',
  '% price',
  '# prices',
  '% on sale',
  '# shop',
  '# store',
  'discount %',
  '% deals',
  '# reviews',
  'top rated %',
  '% free shipping',
  'where to buy %',
  'how much is a #',
  'used %',
  'second hand %',
  'wholesale %',
  'new #',
  'affordable %',
  '% under 50',
  '% next day delivery',
  'good #',
  'quality %',
  '# gift',
  '% sale',
  '% clearance',
  'compare %',
  '# cost',
  'i need a #',
  'looking for %',
  '% for home',
  '% for beginners',
  '% for kids',
  '% bulk order',
];

/** A name inside a shopping phrase, such as `cheap couches`. */
export function shoppingPhrase(name: { text: string; countable: boolean }, random: Random): string {
  const many = name.countable ? plural(name.text) : name.text;
  return random.pick(PHRASES).replace('%', many).replace('#', name.text).toLowerCase();
}

/** The same words in another order; `undefined` for a single word. */
export function reorder(query: string, random: Random): string | undefined {
  const words = query.split(' ');
  if (words.length < 2) return undefined;
  // Most often the head comes first and what describes it follows: `sofa red leather`.
  if (random.chance(0.6)) return [words.at(-1)!, ...words.slice(0, -1)].join(' ');
  return random.sample(words, words.length).join(' ');
}

const NEIGHBOURS: Readonly<Record<string, string>> = {
  a: 'sq',
  b: 'vn',
  c: 'xv',
  d: 'sf',
  e: 'wr',
  f: 'dg',
  g: 'fh',
  h: 'gj',
  i: 'uo',
  j: 'hk',
  k: 'jl',
  l: 'k',
  m: 'n',
  n: 'bm',
  o: 'ip',
  p: 'o',
  q: 'w',
  r: 'et',
  s: 'ad',
  t: 'ry',
  u: 'yi',
  v: 'cb',
  w: 'qe',
  x: 'zc',
  y: 'tu',
  z: 'x',
};

/** One typo in one of the longer words; `undefined` when there is no word of four letters. */
export function mistype(query: string, random: Random): string | undefined {
  const words = query.split(' ');
  const long = words.flatMap((word, i) => (word.length >= 4 ? [i] : []));
  if (long.length === 0) return undefined;
  const at = random.pick(long);
  const word = words[at]!;
  // People seldom get the first letter wrong.
  const i = 1 + random.int(word.length - 1);
  const letter = word[i]!;
  const slips = [
    () => word.slice(0, i) + word.slice(i + 1),
    () => word.slice(0, i) + letter + word.slice(i),
    () => word.slice(0, i - 1) + letter + word[i - 1]! + word.slice(i + 1),
    () => word.slice(0, i) + random.pick([...(NEIGHBOURS[letter] ?? letter)]) + word.slice(i + 1),
  ];
  words[at] = random.pick(slips)();
  return words.join(' ');
}

/**
 * Words of a gloss in their order, without the words of the names: what one types when the name escapes one.
 * `undefined` when the gloss has fewer than three such words.
 */
export function paraphrase(definition: string, names: readonly string[], random: Random): string | undefined {
  const ownStems = new Set(names.flatMap(tokens).map(stem));
  const words = tokens(definition.replace(/\([^)]*\)/g, ' ').split(';')[0] ?? '');
  const content = words.flatMap((word, i) =>
    isFunctionWord(word) || word.length < 3 || ownStems.has(stem(word)) ? [] : [i],
  );
  if (content.length < 3) return undefined;
  const size = 3 + random.int(Math.min(3, content.length - 2));
  // The first content words of a gloss name the genus; keep one of them, so that the rest has something to say it of.
  const kept = new Set([content[random.int(2)]!, ...random.sample(content, size - 1)]);
  const chosen = [...kept].sort((a, b) => a - b);
  return chosen.map((i) => words[i]!).join(' ');
}
