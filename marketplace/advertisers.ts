/** The advertisers: an invented brand and domain, the departments and markets they sell in, campaigns with budgets. */
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { MICROS } from '../shared/money.ts';
import { DEPARTMENTS } from './departments.ts';
import type { Random } from './random.ts';
import type { WordNet } from './wordnet.ts';

/** A daily budget shared by the ads of one advertiser in one department. */
export interface Campaign {
  readonly id: string;
  readonly department: string;
  readonly dailyBudgetMicros: number;
}

export interface Advertiser {
  readonly id: string;
  readonly brand: string;
  /** Under the reserved top-level domain `.example` (RFC 2606). */
  readonly domain: string;
  /** Subset of the configured markets, the first market first. */
  readonly markets: readonly string[];
  readonly campaigns: readonly Campaign[];
  /** How eagerly the advertiser bids: factor on the bids of its ads. */
  readonly eagerness: number;
}

/** The first market is the home of most advertisers; the others are reached by these shares. */
const HOME_SHARE = 0.92;
const ABROAD_SHARES = [0.72, 0.62];
const FEWEST_A_DEPARTMENT = 48;
const CONCEPTS_AN_ADVERTISER = 8;

/** Advertisers for departments with so many sold concepts each. */
export function createAdvertisers(
  options: { wordNet: WordNet; soldByDepartment: ReadonlyMap<string, number> },
  random: Random,
): Advertiser[] {
  const inventName = brandNames(options.wordNet, random);
  const departments = DEPARTMENTS.map(({ key }) => key).filter((key) => options.soldByDepartment.has(key));
  return departments.flatMap((department) => {
    const count = Math.max(
      FEWEST_A_DEPARTMENT,
      Math.ceil((options.soldByDepartment.get(department) ?? 0) / CONCEPTS_AN_ADVERTISER),
    );
    return Array.from({ length: count }, (_, i) => {
      const brand = inventName();
      const id = `adv-${department}-${i + 1}`;
      const second = random.chance(0.3) ? [random.pick(departments)] : [];
      return {
        id,
        brand,
        domain: `${brand.toLowerCase()}.example`,
        markets: drawMarkets(random),
        campaigns: [...new Set([department, ...second])].map((sector) => ({
          id: `cmp-${id.slice(4)}-${sector}`,
          department: sector,
          dailyBudgetMicros: Math.round(random.logNormal(400, 0.8)) * MICROS,
        })),
        eagerness: random.logNormal(1, 0.25),
      };
    });
  });
}

function drawMarkets(random: Random): string[] {
  const [home = 'us', ...abroad] = DEFAULT_CONFIG.markets;
  const markets = abroad.filter((_, i) => random.chance(ABROAD_SHARES[i] ?? 0.5));
  return random.chance(HOME_SHARE) || markets.length === 0 ? [home, ...markets] : markets;
}

const ONSETS = ['b', 'br', 'c', 'cl', 'd', 'dr', 'f', 'fl', 'g', 'gr', 'h', 'k', 'l', 'm', 'n', 'p', 'pr', 'qu', 'r'];
const MORE_ONSETS = ['s', 'sk', 'st', 't', 'tr', 'v', 'w', 'z', 'th', 'sh', 'pl', 'sn', 'sv', 'j'];
const NUCLEI = ['a', 'e', 'i', 'o', 'u', 'ai', 'ea', 'io', 'oo', 'y'];
const CODAS = ['', '', 'n', 'r', 'l', 's', 'm', 'x', 'nd', 'rn', 'lt', 'ck', 'th'];

/** What chance may spell, and what is put there instead: replaced after the draw, so that no other name moves. */
const DECENT: Readonly<Record<string, string>> = { fuck: 'funk', fag: 'fab', kike: 'kine', cunt: 'cant', shit: 'shin' };
const COARSE = new RegExp(Object.keys(DECENT).join('|'), 'g');

/** Pronounceable names that are no word of WordNet and no name given before. */
function brandNames(wordNet: WordNet, random: Random): () => string {
  const taken = new Set<string>();
  const onsets = [...ONSETS, ...MORE_ONSETS];
  const syllable = () => random.pick(onsets) + random.pick(NUCLEI);
  return () => {
    for (;;) {
      const name = syllable() + (random.chance(0.4) ? syllable() : '') + syllable() + random.pick(CODAS);
      if (name.length < 5 || name.length > 10 || taken.has(name) || wordNet.knows(name)) continue;
      taken.add(name);
      const decent = name.replace(COARSE, (word) => DECENT[word]!);
      return decent.charAt(0).toUpperCase() + decent.slice(1);
    }
  };
}
