/** `GET /v1/ads`: the whole way of a query through the edge, one step a line. */
import { Hono } from 'hono';
import type { Candidate } from '../shared/contract/retrieve.ts';
import type { Assignment } from '../shared/experiment.ts';
import { continueTrace, TRACEPARENT } from '../shared/traceparent.ts';
import type { AdsRequest } from './ads-request.ts';
import { askOthers, type Others, withTriggered } from './counterfactual.ts';
import { headPage } from './head/head-page.ts';
import { type Page, type PageOptions, retrievePage } from './interleaved.ts';
import type { EdgeContext, Isolate } from './isolate.ts';
import { answerOf, impressionOf, type Outcome } from './outcome.ts';
import { loggedQuery } from './query-log.ts';
import { originOf } from './request-url.ts';
import { headersOf } from './security-headers.ts';
import type { Serving } from './serving.ts';
import type { Slate } from './slates.ts';
import { assignVisitor, cookiesOf, type Visitor } from './visitor.ts';

/** A request that was so long on its way to a list asks again what was taken down: what it knew by then may be a second old by now. */
const LONG_MS = 250;
const HEADERS = headersOf({ 'content-type': 'application/json', 'cache-control': 'private, no-store' });

export interface Asked {
  requestId: string;
  /** For what must go on after the answer. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** A request that was read and drawn into experiments. */
interface Drawn {
  serving: Serving;
  request: AdsRequest;
  visitor: Visitor;
}

/** The answer; throws what was wrong with the request. */
export async function answerAds(isolate: Isolate, asked: Request, { requestId, waitUntil }: Asked): Promise<Response> {
  const { settings, clock, config, killList, events } = isolate;
  const { url, headers } = asked;
  const startedAt = clock.elapsed();
  const origin = settings.publicUrl ?? originOf(url);
  await Promise.all([config.keepUp(waitUntil), killList.keepUp(waitUntil)]);
  const serving = isolate.serving();
  const request = serving.requests.read(url);
  const visitor = await assignVisitor(isolate, { serving, request, headers });
  const drawn = { serving, request, visitor };
  const trace = () => continueTrace(headers.get(TRACEPARENT), { requestId, newId: clock.newId });
  const found = await findCandidates(isolate, drawn, { seed: requestId, trace, waitUntil });
  if (clock.elapsed() - startedAt >= LONG_MS) await killList.keepUp(waitUntil);
  const { slate, assignments } = holdAuction(isolate, drawn, found);
  const logged = await loggedQuery(settings, { query: request.normalized, assignments });
  const { colo } = (asked as { cf?: { colo?: string } }).cf ?? {};
  const totalMs = clock.elapsed() - startedAt;
  const outcome: Outcome = { id: requestId, ...drawn, page: found.page, slate, logged, colo, totalMs };
  await events.log(impressionOf(outcome), waitUntil);
  const { experiments } = serving.config;
  const cookies = await cookiesOf(visitor, { keys: settings.keys, experiments, headers });
  const response = new Response(JSON.stringify(answerOf(outcome, origin)), { headers: HEADERS });
  for (const cookie of cookies) response.headers.append('set-cookie', cookie);
  return response;
}

interface Found {
  page: Page;
  /** The lists of other arms, where they are logged. */
  others: Others | undefined;
}

/** Candidates of the visitor's plan, of the head where there is no list; and beside them those of the other arms. */
async function findCandidates(
  isolate: Isolate,
  { serving, request, visitor: { assigned } }: Drawn,
  options: PageOptions,
): Promise<Found> {
  const { head, student, rungs } = isolate;
  const { waitUntil } = options;
  head.keepUp(waitUntil);
  student?.keepUp(waitUntil);
  const asksOthers = askOthers(isolate, request, assigned, options);
  const ofPlan = await retrievePage(isolate, request, assigned, options);
  const isEmpty = ofPlan.retrieved.rung === 'empty';
  const page = isEmpty ? await headPage(head, ofPlan, { request, plan: serving.config.plan, waitUntil }) : ofPlan;
  rungs[page.retrieved.rung] += 1;
  return { page, others: asksOthers && (await asksOthers) };
}

/** The list may be cached; who may be shown and what is paid is decided anew every time, by the newest kill list. */
function holdAuction(
  isolate: Pick<Isolate, 'serving' | 'slates'>,
  { serving, request, visitor: { visit, atMs } }: Drawn,
  { page: { retrieved, assignments }, others }: Found,
): { slate: Slate; assignments: Assignment[] } {
  const { device } = visit;
  const { market, slots } = request;
  const { auction } = serving.config;
  const now = isolate.serving();
  const killed = killedNow(serving, now);
  const pageOf = (candidates: readonly Candidate[]) =>
    isolate.slates.of(candidates, { killed, auction, market, device, slots, atMs });
  const { answer } = retrieved;
  // What is on its way while others publish twice may be older by now than what the kill list covers.
  const isCovered = answer !== null && answer.generation >= now.killedSince;
  const slate = pageOf(isCovered ? answer.candidates : []);
  if (others === undefined) return { slate, assignments };
  return { slate, assignments: withTriggered(assignments, { others, retrieved, slots: slate, pageOf }) };
}

/**
 * What is taken down by the newest list. One that does not say how far back it goes, of a release before, may lack what the one of the
 * request's beginning names, and candidates that came meanwhile may be of that time.
 */
function killedNow(begun: Serving, now: Serving): ReadonlySet<string> {
  const isWhole = now === begun || now.config.killListSince !== undefined;
  return isWhole ? now.killed : new Set([...begun.killed, ...now.killed]);
}

/** What an answer is headed by; throws what is wrong with the request. Nobody is shown anything, so there is no impression. */
async function headersAlone(
  isolate: Pick<Isolate, 'config' | 'serving'>,
  { url }: Request,
  { waitUntil }: Asked,
): Promise<Response> {
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
