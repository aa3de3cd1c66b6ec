/** What a request came to, and its two views: the answer and the impression. */
import type { ImpressionEvent } from '../shared/contract/events.ts';
import type { AdsResponse } from '../shared/contract/query-route.ts';
import type { AdsRequest } from './ads-request.ts';
import { CLICK_VALID_SECONDS, clickTail } from './click.ts';
import type { Page } from './interleaved.ts';
import type { LoggedQuery } from './query-log.ts';
import type { Serving } from './serving.ts';
import type { Slate } from './slates.ts';
import type { Visitor } from './visitor.ts';

export interface Outcome {
  /** Id of the answer and of its impression. */
  id: string;
  request: AdsRequest;
  serving: Serving;
  visitor: Visitor;
  page: Page;
  slate: Slate;
  /** The query, and units that are queries, as the impression keeps them. */
  logged: LoggedQuery;
  /** The airport code of this edge location, where the runtime says it. */
  colo: string | undefined;
  totalMs: number;
}

const toHundredths = (ms: number) => Math.round(ms * 100) / 100;

function timingsOf({ page, totalMs }: Outcome) {
  const { backendMs, encodeMs, searchMs } = page.retrieved.timings;
  return {
    totalMs: toHundredths(totalMs),
    backendMs: toHundredths(backendMs),
    encodeMs: toHundredths(encodeMs),
    searchMs: toHundredths(searchMs),
  };
}

/** What is logged. */
export function impressionOf(outcome: Outcome): ImpressionEvent {
  const { id, request, serving, visitor, page, slate } = outcome;
  const { unit, visit, atMs } = visitor;
  const { retrieved, teamOf } = page;
  return {
    type: 'impression',
    id,
    atMs,
    unitId: unit.unitId,
    bot: unit.bot,
    consent: unit.consent,
    ...(request.qa === undefined ? {} : { qa: true }),
    device: visit.device,
    ...(outcome.colo === undefined ? {} : { colo: outcome.colo }),
    market: request.market,
    locale: request.locale,
    ...outcome.logged,
    planFingerprint: page.planFingerprint,
    configVersion: serving.config.version,
    generation: retrieved.answer?.generation ?? null,
    model: retrieved.answer?.model ?? null,
    cache: retrieved.cache,
    rung: retrieved.rung,
    ...(retrieved.reason === undefined ? {} : { reason: retrieved.reason }),
    slots: slate.map(({ position, candidate, priceMicros, retrievers }) => ({
      position,
      adId: candidate.adId,
      relevance: candidate.relevance,
      priceMicros,
      retrievers,
      ...(teamOf === undefined ? {} : { team: teamOf.get(candidate.adId)! }),
    })),
    timings: timingsOf(outcome),
  };
}

/** What is answered; clicks go to `origin`. */
export function answerOf(outcome: Outcome, origin: string): AdsResponse {
  const { id, request, visitor, page, slate } = outcome;
  const { retrieved } = page;
  const x = Math.floor(visitor.atMs / 1_000) + CLICK_VALID_SECONDS;
  const tail = clickTail(request.qa === undefined ? { i: id, x } : { i: id, x, q: 1 });
  return {
    requestId: id,
    query: { raw: request.raw, normalized: request.normalized },
    assignments: page.assignments,
    cache: retrieved.cache,
    generation: retrieved.answer?.generation ?? null,
    model: retrieved.answer?.model ?? null,
    rung: retrieved.rung,
    slots: slate.map(({ position, candidate, sign }) => ({
      position,
      adId: candidate.adId,
      title: candidate.title,
      description: candidate.description,
      displayUrl: candidate.displayUrl,
      clickUrl: `${origin}/v1/click/${sign(tail)}`,
    })),
    ...(retrieved.reason === undefined ? {} : { degraded: { rung: retrieved.rung, reason: retrieved.reason } }),
    timings: timingsOf(outcome),
  };
}
