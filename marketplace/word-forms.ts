/** Forms of English words: tokens, plurals, a light stem, title case. Only as much as shoppers' queries and ad copy need. */
const FUNCTION_WORDS = new Set(
  'a an and any are as at be been being but by can etc for from has have in into is it its may not of off on onto or other over so such than that the their them then there these they this those to under up used usually was were what when where which while who whose will with within without especially very often sometimes having made make makes one two your you our we all no more most each every some another similar several various kind type form consisting serves serving called'.split(
    ' ',
  ),
);

/** Lower-case words of a text, punctuation left out; what people typed goes through `normalize` of `shared/text` first. */
export function tokens(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:'[\p{L}]+)?/gu) ?? [];
}

/** A word that carries little meaning on its own. */
export function isFunctionWord(word: string): boolean {
  return FUNCTION_WORDS.has(word);
}

/** Folds regular plurals, so that `couches` meets `couch`. */
export function stem(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  if (word.length > 4 && /(ch|sh|ss|x|z)es$/.test(word)) return word.slice(0, -2);
  if (word.length > 4 && word.endsWith('ves')) return `${word.slice(0, -3)}f`;
  if (word.length > 3 && word.endsWith('s') && !/(ss|us|is)$/.test(word)) return word.slice(0, -1);
  return word;
}

const IRREGULAR: Readonly<Record<string, string>> = {
  knife: 'knives',
  leaf: 'leaves',
  loaf: 'loaves',
  shelf: 'shelves',
  scarf: 'scarves',
  calf: 'calves',
  half: 'halves',
  mouse: 'mice',
  foot: 'feet',
  tooth: 'teeth',
  goose: 'geese',
  man: 'men',
  workman: 'workmen',
  woman: 'women',
  child: 'children',
  die: 'dice',
  fish: 'fish',
  potato: 'potatoes',
  tomato: 'tomatoes',
  mango: 'mangoes',
};
/** Compounds of the longer ones follow them: `bookshelf`, `snowwoman`. */
const IRREGULAR_ENDINGS = Object.entries(IRREGULAR).filter(
  ([singular, form]) => singular.length > 3 && form !== singular,
);
const PLURAL_ALREADY = /(?:[^su]s|glasses|clothes|dice|teeth)$/;

/** The plural of a noun phrase: its head is the last word, or the word before `of`. */
export function plural(phrase: string): string {
  const words = phrase.split(' ');
  const of = words.indexOf('of');
  const head = of > 0 ? of - 1 : words.length - 1;
  words[head] = pluralWord(words[head] ?? '');
  return words.join(' ');
}

function pluralWord(word: string): string {
  const lower = word.toLowerCase();
  const irregular = IRREGULAR[lower];
  if (irregular !== undefined) return irregular;
  const ending = IRREGULAR_ENDINGS.find(([singular]) => lower.endsWith(singular));
  if (ending) return word.slice(0, -ending[0].length) + ending[1];
  if (PLURAL_ALREADY.test(lower)) return word;
  if (/(s|x|z|ch|sh)$/.test(lower)) return `${word}es`;
  if (/[^aeiou]y$/.test(lower)) return `${word.slice(0, -1)}ies`;
  return `${word}s`;
}

/** `leather sofa bed` -> `Leather Sofa Bed`; small words stay small. */
export function titleCase(phrase: string): string {
  return phrase
    .split(' ')
    .map((word, i) => (i > 0 && isFunctionWord(word) ? word : word.charAt(0).toUpperCase() + word.slice(1)))
    .join(' ');
}

/** First letter upper case. */
export function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
