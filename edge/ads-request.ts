/** What `GET /v1/ads` was asked: the query string read strictly, checked, normalized. Every fault is a 400 with a code. */
import type { ServingConfig } from '../shared/contract/config.ts';
import { AdsQuery } from '../shared/contract/query-route.ts';
import { HarnessError, parse } from '../shared/problem.ts';
import { codePoints, MAX_QUERY_LENGTH, normalize } from '../shared/text.ts';
import { lastUsed } from './last-used.ts';

/** Longest raw query that is worth normalising, in UTF-16 units. */
const MAX_RAW_LENGTH = 2_000;

const PARAMETERS = ['q', 'market', 'locale', 'n', 'qa'] as const;

export interface AdsRequest {
  readonly raw: string;
  readonly normalized: string;
  readonly market: string;
  readonly locale: string;
  readonly slots: number;
  /** A signed override of arms, not verified yet. */
  readonly qa: string | undefined;
}

/** Query strings that are remembered, and how long one may be. */
const REMEMBERED = { entries: 2_000, length: 300 };

/**
 * The known parameters of a query string, each at most once. Stricter than URLSearchParams, which silently turns broken
 * escapes and bytes that are not UTF-8 into some other text.
 */
function readParameters(search: string): Partial<Record<(typeof PARAMETERS)[number], string>> {
  const found: Partial<Record<(typeof PARAMETERS)[number], string>> = {};
  for (const pair of search.split('&')) {
    const at = pair.indexOf('=');
    const name = PARAMETERS.find((known) => known === (at === -1 ? pair : pair.slice(0, at)));
    if (name === undefined) continue;
    if (found[name] !== undefined) throw new HarnessError('bad_request', `${name}: expected once, got it repeated`);
    const text = at === -1 ? '' : pair.slice(at + 1).replaceAll('+', ' ');
    try {
      found[name] = decodeURIComponent(text);
    } catch {
      throw new HarnessError('bad_request', `${name}: expected percent-encoded UTF-8`);
    }
  }
  return found;
}

function searchOf(url: string): string {
  const from = url.indexOf('?');
  const hash = url.indexOf('#');
  return from === -1 ? '' : url.slice(from + 1, hash === -1 ? undefined : hash);
}

/** The requests under one configuration. What was read lately is not read again: the head's query strings come all the time. */
export class AdsRequests {
  readonly #config: ServingConfig;
  readonly #known = lastUsed<AdsRequest>(REMEMBERED.entries);

  constructor(config: ServingConfig) {
    this.#config = config;
  }

  /** Throws as {@link readAdsRequest}. */
  read(url: string): AdsRequest {
    const search = searchOf(url);
    const known = this.#known.get(search);
    if (known !== undefined) return known;
    const request = readAdsRequest(search, this.#config);
    if (search.length <= REMEMBERED.length) this.#known.set(search, request);
    return request;
  }
}

/** Throws `bad_request`, `query_empty`, `query_too_long`, `unknown_market` or `unknown_locale`. */
function readAdsRequest(search: string, config: ServingConfig): AdsRequest {
  const query = parse(AdsQuery, readParameters(search), 'query string');
  const market = query.market ?? config.markets[0]!;
  if (!config.markets.includes(market)) {
    throw new HarnessError('unknown_market', `market: expected one of ${config.markets.join(', ')}, got ${market}`);
  }
  const wanted = (query.locale ?? config.locales[0]!).toLowerCase();
  const locale = config.locales.find((known) => known.toLowerCase() === wanted);
  if (locale === undefined) {
    throw new HarnessError(
      'unknown_locale',
      `locale: expected one of ${config.locales.join(', ')}, got ${query.locale}`,
    );
  }
  const tooLong = (length: number) =>
    new HarnessError('query_too_long', `q: expected at most ${MAX_QUERY_LENGTH} characters, got ${length}`);
  if (query.q.length > MAX_RAW_LENGTH) throw tooLong(codePoints(query.q));
  const normalized = normalize(query.q, locale);
  const length = codePoints(normalized);
  if (length === 0) throw new HarnessError('query_empty', 'q: expected a query, got nothing visible');
  if (length > MAX_QUERY_LENGTH) throw tooLong(length);
  return {
    raw: query.q,
    normalized,
    market,
    locale,
    slots: Math.min(query.n ?? config.auction.slots, config.auction.slots),
    qa: query.qa,
  };
}
