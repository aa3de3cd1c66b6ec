/** `GET /v1/ads`: the whole way of a query through the edge, one step a line. */
import { Hono } from 'hono';
import type { Visit } from '../shared/assignment.ts';
import type { ImpressionEvent } from '../shared/contract/events.ts';
import type { AdsResponse } from '../shared/contract/query-route.ts';
import type { Candidate } from '../shared/contract/retrieve.ts';
import { readOverride } from '../shared/qa-override.ts';
import { continueTrace, TRACEPARENT } from '../shared/traceparent.ts';
import type { AdsRequest } from './ads-request.ts';
import { CLICK_VALID_SECONDS, clickTail } from './click.ts';
import { askOthers, withTriggered } from './counterfactual.ts';
import { orHead } from './head/head-page.ts';
import { identify, takenBack, UNIT_COOKIE, type Unit } from './identity.ts';
import { type Page, retrievePage } from './interleaved.ts';
import type { EdgeContext, Isolate } from './isolate.ts';
import { type LoggedQuery, loggedQuery } from './query-log.ts';
import { originOf } from './request-url.ts';
import { headersOf } from './security-headers.ts';
import type { Serving } from './serving.ts';
import type { Slate } from './slates.ts';
import { readSticky, STICKY_COOKIE, type StickyRecords, stickyCookie } from './sticky.ts';
import { ALL_DIVERSIONS, visitOf } from './visit.ts';

/** Everything that one request came to; the answer and the event are two views of it. */
interface Outcome {
  /** Id of the answer and of its impression. */
  id: string;
  atMs: number;
  request: AdsRequest;
  /** The query, and units that are queries, as the impression keeps them. */
  logged: LoggedQuery;
  serving: Serving;
  unit: Unit;
  visit: Visit;
  page: Page;
  /** The airport code of this edge location, where the runtime says it. */
  colo: string | undefined;
  slate: Slate;
  totalMs: number;
}

const NO_RECORDS: StickyRecords = new Map();
/** A request that was so long on its way to a list asks again what was taken down: what it knew by then may be a second old by now. */
const LONG_MS = 250;
const OUR_COOKIES = [UNIT_COOKIE, STICKY_COOKIE];
const HEADERS = headersOf({ 'content-type': 'application/json', 'cache-control': 'private, no-store' });

export interface Asked {
  requestId: string;
  /** For what must go on after the answer. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** The answer; throws what was wrong with the request. */
export async function answerAds(isolate: Isolate, asked: Request, { requestId, waitUntil }: Asked): Promise<Response> {
  const { settings, clock, config, killList, head, rungs, events } = isolate;
  const startedAt = clock.elapsed();
  const { url, headers } = asked;
  const origin = settings.publicUrl ?? originOf(url);
  await Promise.all([config.keepUp(waitUntil), killList.keepUp(waitUntil)]);
  const serving = isolate.serving();

  const request = serving.requests.read(url);
  const unit = await identify(headers, {
    keys: settings.keys,
    newId: clock.newId,
    policy: settings.consent,
    known: isolate.visitors,
  });
  const { unitId } = unit;
  const atMs = clock.now();
  const diversions = request.qa === undefined ? serving.diversions : ALL_DIVERSIONS;
  const visit = await visitOf({ request, headers, unitId, atMs, diversions });
  const keepsArms = serving.isSticky && unit.consent;
  const sticky = keepsArms ? await readSticky(headers, settings.keys, unitId) : NO_RECORDS;
  const overrides = request.qa === undefined ? undefined : await readOverride(settings.keys, request.qa, atMs);
  const assigned = await serving.planOf(visit, overrides === undefined ? { sticky } : { sticky, overrides });
  head.keepUp(waitUntil);
  isolate.student?.keepUp(waitUntil);
  const trace = () => continueTrace(headers.get(TRACEPARENT), { requestId, newId: clock.newId });
  const context = { seed: requestId, trace, waitUntil };
  const asksOthers = askOthers(isolate, request, assigned, context);
  const ofPlan = await retrievePage(isolate, request, assigned, context);
  const page = await orHead(isolate, request, ofPlan, { plan: serving.config.plan, waitUntil });
  rungs[page.retrieved.rung] += 1;
  const others = asksOthers && (await asksOthers);
  if (clock.elapsed() - startedAt >= LONG_MS) await killList.keepUp(waitUntil);
  // The list may be cached; who may be shown and what is paid is decided anew every time, by the newest list.
  const { device } = visit;
  const killed = killedNow(serving, isolate.serving());
  const { auction } = serving.config;
  const pageOf = (candidates: readonly Candidate[]) =>
    isolate.slates.of(candidates, { killed, auction, device, slots: request.slots, atMs });
  const slate = pageOf(page.retrieved.answer?.candidates ?? []);
  const assignments =
    others === undefined
      ? page.assignments
      : withTriggered(page.assignments, { others, retrieved: page.retrieved, slots: slate, pageOf });
  const outcome: Outcome = {
    id: requestId,
    atMs,
    request,
    logged: await loggedQuery(settings, { query: request.normalized, assignments }),
    serving,
    unit,
    visit,
    page,
    colo: (asked as { cf?: { colo?: string } }).cf?.colo,
    slate,
    totalMs: 0,
  };
  outcome.totalMs = clock.elapsed() - startedAt;
  await events.log(impressionOf(outcome), waitUntil);

  const { experiments } = serving.config;
  const remember =
    overrides === undefined && keepsArms
      ? await stickyCookie({ keys: settings.keys, unitId, before: sticky, assigned: assigned.assigned, experiments })
      : undefined;
  const response = new Response(JSON.stringify(answerOf(outcome, origin)), { headers: HEADERS });
  const cookies = unit.consent ? [unit.setCookie, remember] : takenBack(headers.get('cookie'), OUR_COOKIES);
  for (const cookie of cookies) {
    if (cookie !== undefined) response.headers.append('set-cookie', cookie);
  }
  return response;
}

/**
 * What is taken down by the newest list, and by that of the request's beginning: a list of a newer generation does not name all that the
 * one before it does, but candidates that came meanwhile may be of the older one.
 */
function killedNow(begun: Serving, now: Serving): ReadonlySet<string> {
  return now === begun ? now.killed : new Set([...begun.killed, ...now.killed]);
}

/** What an answer is headed by; throws what is wrong with the request. Nobody is shown anything, so there is no impression. */
async function headersAlone(isolate: Isolate, { url }: Request, { waitUntil }: Asked): Promise<Response> {
  await isolate.config.keepUp(waitUntil);
  isolate.serving().requests.read(url);
  return new Response(null, { headers: HEADERS });
}

/** The same as a route of the application. */
export const adsRoute = (isolate: Isolate) =>
  new Hono<EdgeContext>().get('/v1/ads', (c) => {
    const answer = c.req.method === 'HEAD' ? headersAlone : answerAds;
    return answer(isolate, c.req.raw, {
      requestId: c.get('requestId'),
      waitUntil: (work) => c.executionCtx.waitUntil(work),
    });
  });

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

function impressionOf(outcome: Outcome): ImpressionEvent {
  const { id, atMs, request, serving, unit, visit, page, slate } = outcome;
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

function answerOf(outcome: Outcome, origin: string): AdsResponse {
  const { id, atMs, request, page, slate } = outcome;
  const { retrieved } = page;
  const x = Math.floor(atMs / 1_000) + CLICK_VALID_SECONDS;
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
