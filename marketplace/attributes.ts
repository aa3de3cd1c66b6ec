/**
 * What tells two goods of one concept apart: colour, material, size, quality. A value is a WordNet synset, so that an ad
 * may say `aluminum` or `big` where a query says `aluminium` or `large`.
 */
import type { Concept } from './concepts.ts';
import type { Random } from './random.ts';
import { stem, tokens } from './word-forms.ts';
import type { Synset, WordNet } from './wordnet.ts';

/** Only values of the exclusive kinds can clash: a red sofa is not a blue one, but a sturdy one may be elegant. */
export type AttributeKind = 'color' | 'material' | 'size' | 'quality';
export const EXCLUSIVE_KINDS: ReadonlySet<AttributeKind> = new Set(['color', 'material', 'size']);

/** One value of one kind. */
export interface Attribute {
  readonly kind: AttributeKind;
  /** Synset id: two attributes are the same when kind and key are. */
  readonly key: string;
  /** Forms, most usual first: ads use the first, queries any. */
  readonly names: readonly string[];
}

/** Values that make sense in a department. */
export type AttributeSet = Readonly<Record<AttributeKind, readonly Attribute[]>>;

const TEXTILES =
  'cotton%1:27:01:: wool%1:06:00:: silk%1:06:00:: linen%1:06:01:: leather%1:27:00:: denim%1:06:00:: velvet%1:06:00:: cashmere%1:06:00:: suede%1:27:00:: satin%1:06:00:: nylon%1:27:00:: polyester%1:27:00::';
const WOODS =
  'oak%1:20:02:: pine%1:20:02:: mahogany%1:20:02:: maple%1:20:02:: walnut%1:20:02:: cherry%1:20:02:: bamboo%1:20:02:: teak%1:20:02:: birch%1:20:02:: wicker%1:27:00:: leather%1:27:00:: glass%1:27:00::';
const METALS =
  'steel%1:27:00:: stainless_steel%1:27:00:: brass%1:27:00:: bronze%1:27:00:: copper%1:27:00:: aluminum%1:27:00:: cast_iron%1:27:00:: titanium%1:27:00:: plastic%1:27:00:: rubber%1:27:00::';
const TABLEWARE =
  'glass%1:27:00:: crystal%1:27:00:: porcelain%1:06:00:: ceramic%1:06:00:: stainless_steel%1:27:00:: plastic%1:27:00:: bamboo%1:20:02:: copper%1:27:00:: cast_iron%1:27:00:: marble%1:27:00::';

const SIZES = 'large%3:00:00:: small%3:00:00:: tiny%5:00:00:small:00 miniature%5:00:00:small:00 giant%5:00:00:large:00';
const STURDY =
  'durable%5:00:00:long:02 sturdy%5:00:00:rugged:00 reliable%3:00:00:: portable%3:00:00:: adjustable%5:00:00:changeable:00 foldable%5:00:00:collapsible:00';
const ELEGANT =
  'elegant%3:00:00:: stylish%3:00:00:: modern%3:00:00:: handmade%3:00:00:: deluxe%5:00:00:rich:03 traditional%3:00:00:: comfortable%3:00:00::';
const TASTY =
  'fresh%3:00:01:: organic%3:00:01:: sweet%3:00:02:: spicy%5:00:01:tasty:00 homemade%3:00:00:: frozen%3:00:00:: dried%5:00:00:preserved:02 salty%5:00:00:tasty:00 premium%5:00:00:superior:02';
const WORN =
  'comfortable%3:00:00:: elegant%3:00:00:: stylish%3:00:00:: warm%3:00:01:: lightweight%5:00:00:light:01 waterproof%5:00:00:tight:02 washable%3:00:00:: handmade%3:00:00:: deluxe%5:00:00:rich:03';
const POWERED =
  'portable%3:00:00:: wireless%3:00:00:: automatic%3:00:00:: reliable%3:00:00:: compact%3:00:00:: powerful%3:00:00:: digital%3:01:01:: professional%3:01:01::';
const GROWN = 'fragrant%3:00:00:: perennial%3:00:00:: annual%3:00:00:: evergreen%3:00:00:: hardy%5:00:01:robust:00';

interface Recipe {
  readonly colored: boolean;
  readonly material: string;
  readonly size: string;
  readonly quality: string;
}
const RECIPES: Readonly<Record<string, Recipe>> = {
  fashion: { colored: true, material: TEXTILES, size: SIZES, quality: WORN },
  furniture: { colored: true, material: WOODS, size: SIZES, quality: ELEGANT },
  beauty: { colored: false, material: '', size: SIZES, quality: GROWN.slice(0, GROWN.indexOf(' ')) },
  kitchen: { colored: true, material: TABLEWARE, size: SIZES, quality: STURDY },
  storage: { colored: true, material: `${TEXTILES} ${METALS}`, size: SIZES, quality: STURDY },
  music: { colored: false, material: WOODS.slice(0, WOODS.indexOf(' wicker')), size: '', quality: ELEGANT },
  sports: { colored: true, material: METALS, size: SIZES, quality: STURDY },
  electronics: { colored: true, material: '', size: SIZES, quality: POWERED },
  instruments: { colored: false, material: METALS, size: SIZES, quality: POWERED },
  vehicles: { colored: true, material: '', size: SIZES, quality: STURDY },
  tools: { colored: false, material: METALS, size: SIZES, quality: STURDY },
  office: { colored: true, material: '', size: SIZES, quality: ELEGANT },
  drinks: { colored: false, material: '', size: '', quality: TASTY },
  food: { colored: false, material: '', size: '', quality: TASTY },
  garden: { colored: true, material: '', size: SIZES, quality: GROWN },
  materials: { colored: true, material: '', size: '', quality: STURDY },
};

const SHADES = 9;
const MOST_NAMES = 3;

/** The values of each department, by department key. */
export function readAttributes(wordNet: WordNet): ReadonlyMap<string, AttributeSet> {
  const colors = mostCommonColors(wordNet).map((synset) => attributeOf(synset, 'color'));
  const values = (keys: string, kind: AttributeKind) =>
    keys
      .split(' ')
      .filter((key) => key !== '')
      .map((key) => attributeOf(wordNet.bySenseKey(key), kind));
  return new Map(
    Object.entries(RECIPES).map(([department, recipe]) => [
      department,
      {
        color: recipe.colored ? colors : [],
        material: values(recipe.material, 'material'),
        size: values(recipe.size, 'size'),
        quality: values(recipe.quality, 'quality'),
      },
    ]),
  );
}

function attributeOf(synset: Synset, kind: AttributeKind): Attribute {
  const names = synset.lemmas
    .filter(({ text, sense, tagCount }) => /^[a-z][a-z -]+$/.test(text) && (sense <= 3 || tagCount > 0))
    .sort((a, b) => b.tagCount - a.tagCount || a.sense - b.sense)
    .map(({ text }) => text);
  return { kind, key: synset.id, names: (names.length > 0 ? names : [synset.lemmas[0]!.text]).slice(0, MOST_NAMES) };
}

/** Black, white, and the adjectives similar to `chromatic` and `achromatic` that the concordance texts use most. */
function mostCommonColors(wordNet: WordNet): Synset[] {
  const extremes = ['black%3:00:01::', 'white%3:00:01::'].map((key) => wordNet.bySenseKey(key));
  const score = ({ lemmas }: Synset) => Math.max(...lemmas.map(({ tagCount }) => tagCount));
  const shades = ['chromatic%3:00:00::', 'achromatic%3:00:00::']
    .flatMap((key) => wordNet.bySenseKey(key).similar)
    .map((id) => wordNet.synsets.get(id)!)
    .filter(({ lemmas }) => /^[a-z]+$/.test(lemmas[0]?.text ?? '') && lemmas[0]!.sense <= 2)
    .sort((a, b) => score(b) - score(a) || (a.id < b.id ? -1 : 1));
  return [...extremes, ...shades.slice(0, SHADES)];
}

const SHARE_OF_KIND: Readonly<Record<AttributeKind, number>> = { quality: 0.65, size: 0.3, color: 0.5, material: 0.35 };
const KINDS = Object.keys(SHARE_OF_KIND) as AttributeKind[];

/**
 * The values that a concept's own meaning leaves open. A gloss that names a material or a colour fixes it (no silk jeans,
 * no pink oak), and a value whose word is among `avoided` stems is left out.
 */
export function openAttributes(concept: Concept, values: AttributeSet, avoided: ReadonlySet<string>): AttributeSet {
  const said = new Set(tokens(`${concept.definition} ${concept.names.map(({ text }) => text).join(' ')}`).map(stem));
  const free = (kind: AttributeKind) => {
    const unsaid = values[kind].filter(
      ({ names }) => !names.some((name) => tokens(name).some((word) => said.has(stem(word)))),
    );
    if (kind !== 'quality' && unsaid.length < values[kind].length) return [];
    return unsaid.filter(({ names }) => !tokens(names[0]!).some((word) => avoided.has(stem(word))));
  };
  return { color: free('color'), material: free('material'), size: free('size'), quality: free('quality') };
}

/** Draws at most one value of a kind, in the order in which English puts them before a noun. */
export function drawAttributes(open: AttributeSet, random: Random): Attribute[] {
  return KINDS.flatMap((kind) =>
    open[kind].length > 0 && random.chance(SHARE_OF_KIND[kind]) ? [random.pick(open[kind])] : [],
  );
}
