/** What an ad says: title, description and keywords, in the advertisers' words and never in those they do not use. */
import type { Ad } from '../shared/contract/ads.ts';
import type { Attribute } from './attributes.ts';
import type { Concept, Name } from './concepts.ts';
import { DEPARTMENTS, departmentOf } from './departments.ts';
import type { Random } from './random.ts';
import { plural, sentenceCase, stem, titleCase, tokens } from './word-forms.ts';

/** What the copy is made from. */
export interface CopyBrief {
  readonly concept: Concept;
  readonly brand: string;
  /** The name of the concept that this advertiser uses. */
  readonly name: Name;
  readonly attributes: readonly Attribute[];
  /** Stems that must not appear. */
  readonly avoided: ReadonlySet<string>;
  /** Whether advertisers of the concept explain what it is, in words of its gloss. */
  readonly explains: boolean;
}

export type AdCopy = Pick<Ad, 'title' | 'description' | 'keywords'>;

interface TitleParts {
  readonly brand: string;
  readonly thing: string;
  readonly things: string;
}
const TITLES: readonly ((parts: TitleParts) => string)[] = [
  ({ brand, thing }) => `${brand} ${thing}`,
  ({ brand, things }) => `${things} | ${brand}`,
  ({ brand, things }) => `${things} by ${brand}`,
  ({ brand, things }) => `Shop ${things} at ${brand}`,
  ({ things }) => `${things} - Delivered Tomorrow`,
  ({ brand, thing }) => `${thing} from ${brand}`,
  ({ brand, things }) => `${brand}: ${things} in Stock`,
  ({ brand, things }) => `Order ${things} | ${brand}`,
];

const OFFERS: readonly string[] = [
  'Free delivery and easy returns.',
  'Delivered in two days, returns within 30 days.',
  'Order today, pay later.',
  'Rated 4.8 of 5 by thousands of customers.',
  'In stock and ready to ship.',
  'Save up to 30% this week.',
  'Family business since 1987.',
  'Two-year warranty included.',
  'Talk to our experts seven days a week.',
  'New arrivals every Monday.',
  'Pick up in store or have it sent home.',
  'Members save 10% on every order.',
  'Secure checkout, no hidden fees.',
  'Large choice at fair prices.',
  'Made to last, sold with a guarantee.',
  'See the whole range and compare.',
];

const LONGEST_TITLE = 90;
const LONGEST_DESCRIPTION = 180;
const LONGEST_CLAUSE = 120;

/** Writes one ad. Lengths keep to the contract's limits. */
export function writeCopy(brief: CopyBrief, random: Random): AdCopy {
  const name = brief.name.text;
  const names = brief.concept.countable ? plural(name) : name;
  const attributeWords = brief.attributes.map((attribute) => attribute.names[0]!);
  const first = random.int(Math.max(1, attributeWords.length - 1));
  const shown = attributeWords.slice(first, first + 2);
  const parts = {
    brand: brief.brand,
    thing: titleCase([...shown, name].join(' ')),
    things: titleCase([...shown, names].join(' ')),
  };
  const titles = random.sample(TITLES, TITLES.length).map((write) => write(parts));
  return {
    title:
      titles.find((title) => title.length <= LONGEST_TITLE && !hasAvoided(title, brief.avoided)) ??
      parts.thing.slice(0, LONGEST_TITLE).trim(),
    description: describe(brief, attributeWords, random),
    keywords: keywords({ name, names, attributeWords }, random),
  };
}

function describe(brief: CopyBrief, attributeWords: readonly string[], random: Random): string {
  const clause = brief.explains && random.chance(0.8) ? glossClause(brief, random) : undefined;
  const range =
    attributeWords.length > 1 && random.chance(0.5) ? `${sentenceCase(attributeWords.join(', '))}.` : undefined;
  const tagline = random.chance(0.6) ? random.pick(departmentOf(brief.concept.department).taglines) : undefined;
  let description = '';
  for (const sentence of [clause, range, tagline, ...random.sample(OFFERS, 2)]) {
    if (sentence === undefined || hasAvoided(sentence, brief.avoided)) continue;
    const longer = description === '' ? sentence : `${description} ${sentence}`;
    if (longer.length <= LONGEST_DESCRIPTION) description = longer;
  }
  return description;
}

/** A clause of the gloss that reads as copy and gives no avoided word away. */
function glossClause({ concept, avoided }: CopyBrief, random: Random): string | undefined {
  const clauses = concept.definition
    .replace(/\([^)]*\)/g, ' ')
    .replace(/[`"]/g, '')
    .split(/[;:]/)
    .map((clause) => clause.replace(/\s+/g, ' ').trim())
    .filter((clause) => clause.length >= 12 && clause.length <= LONGEST_CLAUSE && !hasAvoided(clause, avoided));
  return clauses.length === 0 ? undefined : `${sentenceCase(random.pick(clauses))}.`;
}

function hasAvoided(text: string, avoided: ReadonlySet<string>): boolean {
  return avoided.size > 0 && stemsOf(text).some((word) => avoided.has(word));
}

/** Stems of sentences that many ads share. */
const knownStems = new Map(
  [...OFFERS, ...DEPARTMENTS.flatMap(({ taglines }) => taglines)].map((text) => [text, stems(text)]),
);

function stemsOf(text: string): readonly string[] {
  return knownStems.get(text) ?? stems(text);
}

function stems(text: string): string[] {
  return tokens(text).map(stem);
}

function keywords(
  words: { name: string; names: string; attributeWords: readonly string[] },
  random: Random,
): Ad['keywords'] {
  const name = words.name.toLowerCase();
  const names = words.names.toLowerCase();
  const attributed = words.attributeWords.map((attribute) => `${attribute} ${name}`.toLowerCase());
  const booked: Ad['keywords'] = [
    { text: name, match: random.pick(['exact', 'phrase', 'broad'] as const) },
    { text: names, match: random.pick(['phrase', 'broad'] as const) },
    ...attributed.map((text) => ({ text, match: random.pick(['exact', 'phrase', 'broad'] as const) })),
  ];
  const seen = new Set<string>();
  return booked.filter(({ text }) => text.length <= 80 && !seen.has(text) && seen.add(text));
}
