/** One concept's way into a search box: its names, shopped for, described, misspelt, out of order, or paraphrased. */
import { normalize } from '../shared/text.ts';
import { type Attribute, drawAttributes, openAttributes } from './attributes.ts';
import type { Concept } from './concepts.ts';
import { mistype, paraphrase, reorder, shoppingPhrase } from './phrasing.ts';
import type { Phrasing, QuerySources } from './queries.ts';
import type { Random } from './random.ts';
import type { Intent } from './relevance.ts';
import { phrasingKey } from './splits.ts';
import { plural, sentenceCase } from './word-forms.ts';

const NO_STEMS: ReadonlySet<string> = new Set();

interface Draft extends Pick<Phrasing, 'text' | 'form' | 'intent'> {
  /** How usual the name in it is, against the concept's most usual one; 1 where no name is used. */
  readonly familiarity: number;
}
/** A phrasing, and how usual its name is. */
export interface Spoken {
  readonly phrasing: Phrasing;
  readonly familiarity: number;
}

/** What people who think of a concept type: first its names, then whatever chance brings. */
export function speakerOf(options: {
  concept: Concept;
  sources: QuerySources;
  meanings: ReadonlyMap<string, readonly string[]>;
}): (attempt: number, random: Random) => Spoken | undefined {
  const { concept, sources, meanings } = options;
  const used = new Set(sources.vocabulary.adNames(concept.id));
  const open = openAttributes(concept, sources.attributes.get(concept.department)!, NO_STEMS);
  const brands = sources.brands.get(concept.department) ?? [];
  const most = concept.names[0]!.weight;
  const names = concept.names.map((name) => ({
    text: name.text.toLowerCase(),
    weight: name.weight,
    own: used.has(name),
    familiarity: name.weight / most,
  }));
  const intentOf = (name: string, more: Partial<Intent> = {}): Intent => ({
    targets: meanings.get(name)!,
    attributes: [],
    ...more,
  });
  // People know the rarer names too: the exponent flattens the weights.
  const drawName = (random: Random) => random.weighted(names, ({ weight }) => weight ** 0.4);
  const inflect = (text: string, random: Random) => (concept.countable && random.chance(0.4) ? plural(text) : text);

  const described = (random: Random): Draft | undefined => {
    const name = drawName(random);
    const attributes: readonly Attribute[] = random.sample(drawAttributes(open, random), 2);
    if (attributes.length === 0) return undefined;
    const words = attributes.map(({ names: forms }) =>
      random.weighted(forms, (form) => (forms.indexOf(form) + 1) ** -1.5),
    );
    const text = random.chance(0.85)
      ? [...words, inflect(name.text, random)].join(' ')
      : `${inflect(name.text, random)} in ${words.join(' ')}`;
    return { text, form: 'attribute', intent: intentOf(name.text, { attributes }), familiarity: name.familiarity };
  };
  const shopping = (random: Random): Draft => {
    const name = drawName(random);
    return {
      text: shoppingPhrase({ text: name.text, countable: concept.countable }, random),
      form: 'modifier',
      intent: intentOf(name.text),
      familiarity: name.familiarity,
    };
  };
  const branded = (random: Random): Draft | undefined => {
    if (brands.length === 0) return undefined;
    const name = drawName(random);
    const brand = random.pick(brands);
    const words = [brand.toLowerCase(), inflect(name.text, random)];
    return {
      text: (random.chance(0.7) ? words : words.reverse()).join(' '),
      form: 'brand',
      intent: intentOf(name.text, { brand }),
      familiarity: name.familiarity,
    };
  };
  const glossed = (random: Random): Draft | undefined => {
    const text = paraphrase(
      concept.definition,
      names.map((name) => name.text),
      random,
    );
    return text === undefined
      ? undefined
      : { text, form: 'gloss', intent: { targets: [concept.id], attributes: [] }, familiarity: 1 };
  };
  const changed = (
    form: 'order' | 'typo',
    change: (text: string, random: Random) => string | undefined,
    random: Random,
  ): Draft | undefined => {
    const name = drawName(random);
    const base =
      random.chance(0.3) && form === 'typo'
        ? { text: inflect(name.text, random), intent: intentOf(name.text), familiarity: name.familiarity }
        : random.chance(0.6)
          ? described(random)
          : shopping(random);
    const text = base && change(base.text, random);
    return base && text !== undefined && text !== base.text ? { ...base, text, form } : undefined;
  };

  return (attempt, random) => {
    const draft = opening(attempt, names, concept.countable, intentOf) ?? drawDraft(random);
    if (!draft) return undefined;
    const kind = concept.sold ? draft.form : 'broader';
    // A few people start with a capital.
    const text = random.chance(0.04) ? sentenceCase(draft.text) : draft.text;
    const normalized = normalize(text);
    const { form, intent, familiarity } = draft;
    const key = phrasingKey(normalized);
    return { phrasing: { text, normalized, key, kind, form, conceptId: concept.id, intent }, familiarity };
  };

  function drawDraft(random: Random): Draft | undefined {
    const point = random.next();
    if (point < 0.3) return shopping(random);
    if (point < 0.58) return described(random);
    if (point < 0.78) return glossed(random);
    if (point < 0.81) return branded(random);
    if (point < 0.9) return changed('order', reorder, random);
    return changed('typo', mistype, random);
  }
}

/** The plain names and their plurals come first, so that every concept has them. */
function opening(
  attempt: number,
  names: readonly { text: string; own: boolean; familiarity: number }[],
  countable: boolean,
  intentOf: (name: string) => Intent,
): Draft | undefined {
  const name = names[attempt % names.length];
  if (!name || attempt >= names.length * 2) return undefined;
  const { text, own, familiarity } = name;
  const intent = intentOf(text);
  if (attempt < names.length) return { text, form: own ? 'name' : 'synonym', intent, familiarity };
  return countable ? { text: plural(text), form: 'plural', intent, familiarity } : undefined;
}
