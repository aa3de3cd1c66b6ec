/** The catalogue: ads over all sold concepts, more for the common ones, each with the facts that judgement needs. */
import type { Ad } from '../shared/contract/ads.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { MICROS } from '../shared/money.ts';
import { writeCopy } from './ad-copy.ts';
import type { Advertiser } from './advertisers.ts';
import { type Attribute, type AttributeSet, drawAttributes, openAttributes } from './attributes.ts';
import type { Concept, Concepts } from './concepts.ts';
import { departmentOf } from './departments.ts';
import type { Random } from './random.ts';
import type { Vocabulary } from './vocabulary.ts';
import { tokens } from './word-forms.ts';

/** An ad, and what it is about. Everything but `ad` is for judgement and simulation; no serving code sees it. */
export interface CatalogueAd {
  readonly ad: Ad;
  readonly conceptId: string;
  readonly attributes: readonly Attribute[];
  readonly brand: string;
}

/** Every sold concept has so many active ads in the first market: enough for precision at 10 to mean something. */
const FEWEST_ADS = 10;
/** The most common concept has so many more, falling off with its rank. */
const MORE_ADS = 20;
const HALF_RANK = 80;
const PAUSED_SHARE = 0.04;
const EXPLAINING_SHARE = 0.75;
const RESERVE_MICROS = DEFAULT_CONFIG.auction.reserveMicros;

export interface CatalogueSources {
  readonly concepts: Concepts;
  readonly attributes: ReadonlyMap<string, AttributeSet>;
  readonly advertisers: readonly Advertiser[];
  readonly vocabulary: Vocabulary;
}

/** All ads, in the order of the concepts; ids are `ad-` and five digits. */
export function createCatalogue(sources: CatalogueSources, random: Random): CatalogueAd[] {
  const { vocabulary } = sources;
  const home = DEFAULT_CONFIG.markets[0] ?? 'us';
  const catalogue: CatalogueAd[] = [];
  const sellersOf = sellersByDepartment(sources.advertisers);
  const sold = [...sources.concepts.values()].filter((concept) => concept.sold);
  for (const [rank, concept] of sold.entries()) {
    const sellers = sellersOf(concept.department);
    const certain = random.sample(
      sellers.filter(({ markets }) => markets.includes(home)),
      FEWEST_ADS,
    );
    const others = sellers.filter((seller) => !certain.includes(seller));
    const more = random.sample(others, Math.floor(MORE_ADS / (1 + rank / HALF_RANK)) + random.int(2));
    const open = openAttributes(concept, sources.attributes.get(concept.department)!, vocabulary.avoided(concept.id));
    const explains = random.chance(EXPLAINING_SHARE);
    for (const [i, advertiser] of [...certain, ...more].entries()) {
      catalogue.push(
        createAd(
          {
            id: `ad-${String(catalogue.length + 1).padStart(5, '0')}`,
            concept,
            advertiser,
            sources,
            explains,
            open,
            mayPause: i >= FEWEST_ADS,
          },
          random,
        ),
      );
    }
  }
  return catalogue;
}

function sellersByDepartment(advertisers: readonly Advertiser[]): (department: string) => readonly Advertiser[] {
  const sellers = new Map<string, Advertiser[]>();
  for (const advertiser of advertisers) {
    for (const { department } of advertiser.campaigns) {
      sellers.set(department, [...(sellers.get(department) ?? []), advertiser]);
    }
  }
  return (department) => sellers.get(department) ?? [];
}

interface AdBrief {
  readonly id: string;
  readonly concept: Concept;
  readonly advertiser: Advertiser;
  readonly sources: CatalogueSources;
  readonly explains: boolean;
  /** Attribute values that the concept leaves open. */
  readonly open: AttributeSet;
  readonly mayPause: boolean;
}

function createAd(
  { id, concept, advertiser, sources, explains, open, mayPause }: AdBrief,
  random: Random,
): CatalogueAd {
  const { vocabulary } = sources;
  const avoided = vocabulary.avoided(concept.id);
  const attributes = drawAttributes(open, random);
  const name = random.pick(vocabulary.adNames(concept.id));
  const copy = writeCopy({ concept, brand: advertiser.brand, name, attributes, avoided, explains }, random);
  const campaign = advertiser.campaigns.find(({ department }) => department === concept.department)!;
  const { medianBid } = departmentOf(concept.department);
  const bid = random.logNormal(medianBid * advertiser.eagerness, 0.35);
  const path = tokens(name.text).join('-');
  return {
    ad: {
      id,
      advertiserId: advertiser.id,
      campaignId: campaign.id,
      ...copy,
      displayUrl: `${advertiser.domain}/${path}`.slice(0, 80),
      landingUrl: `https://${advertiser.domain}/${path}/${id}`,
      markets: [...advertiser.markets],
      bidMicros: Math.max(RESERVE_MICROS, Math.round(bid * 100) * (MICROS / 100)),
      dailyBudgetMicros: campaign.dailyBudgetMicros,
      status: mayPause && random.chance(PAUSED_SHARE) ? 'paused' : 'active',
    },
    conceptId: concept.id,
    attributes,
    brand: advertiser.brand,
  };
}
