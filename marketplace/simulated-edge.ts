/**
 * An edge in memory on a simulated clock, for traffic of past days: assignment, auction, budgets and events are those of the
 * contract; retrieval is the market's own judgement, of which an arm's plan may keep less (`k`, `minRelevance`). So arms differ by
 * that and by the effect that is set, and by nothing else, which makes the truth of a report known.
 */
import { type Assigned, assign } from '../shared/assignment.ts';
import { type AuctionSlot, auction, type Bidder } from '../shared/auction.ts';
import type { ServingConfig } from '../shared/contract/config.ts';
import type { HarnessEvent } from '../shared/contract/events.ts';
import type { AdsResponse } from '../shared/contract/query-route.ts';
import { hash32, isCompared } from '../shared/experiment.ts';
import type { PlanPatch } from '../shared/plan.ts';
import type { Market } from './market.ts';
import type { Query } from './queries.ts';
import type { Grade } from './relevance.ts';
import type { Person } from './users.ts';
import type { EdgeClient } from './visitor.ts';

export interface SimulatedEdgeOptions {
  readonly market: Pick<Market, 'queries' | 'judge' | 'random'>;
  readonly config: Pick<ServingConfig, 'auction' | 'experiments' | 'plan' | 'version'>;
  /** Names this traffic: ids of events and units begin with it. */
  readonly name: string;
  /** Factor on the daily budgets; small ones run out. */
  readonly budgets?: number;
  readonly emit: (event: HarnessEvent) => void;
}

export interface SimulatedEdge {
  connect(person: Person): EdgeClient;
  /** Ads whose budget of a day was used up, a count for each day. */
  exhausted(): number;
}

interface Entrant extends Bidder {
  readonly dailyBudgetMicros: number;
}

/** Relevance as a retriever would calibrate it, by grade; a part of it is the ad's own. */
const RELEVANCE: Readonly<Record<Grade, number>> = { 0: 0.02, 1: 0.3, 2: 0.55, 3: 0.75 };
const RELEVANCE_SPREAD = 0.2;

/** The edge of a market; what it logs goes to `emit` in the order in which it is asked. */
export function simulateEdge(options: SimulatedEdgeOptions): SimulatedEdge {
  const { market, config, name, budgets = 1, emit } = options;
  const { train, validation, test } = market.queries;
  const queries = new Map([...train, ...validation, ...test].map((query) => [`${query.market} ${query.text}`, query]));
  const lists = new Map<string, Entrant[]>();
  const latency = market.random(`${name}/latency`);
  const spent = new Map<string, number>();
  const clicked = new Set<string>();
  let exhausted = 0;
  let answered = 0;

  const dayOf = (atMs: number) => new Date(atMs).toISOString().slice(0, 10);
  const isOpen = ({ adId, dailyBudgetMicros }: Entrant, day: string) =>
    (spent.get(`${day} ${adId}`) ?? 0) < dailyBudgetMicros * budgets;

  function entrants(query: Query): { list: Entrant[]; cached: boolean } {
    const known = lists.get(query.id);
    if (known !== undefined) return { list: known, cached: true };
    const list = market.judge(query).map(({ item: { ad }, grade }) => ({
      adId: ad.id,
      advertiserId: ad.advertiserId,
      bidMicros: ad.bidMicros,
      dailyBudgetMicros: ad.dailyBudgetMicros,
      relevance: RELEVANCE[grade] + (RELEVANCE_SPREAD * hash32(`${ad.id} ${query.id}`)) / 0x1_0000_0000,
    }));
    lists.set(query.id, list);
    return { list, cached: false };
  }

  /** What the plan under these arms keeps of a query's list. */
  function kept(list: readonly Entrant[], arms: readonly Pick<Assigned, 'arm'>[]): Entrant[] {
    const { k, minRelevance = 0 }: PlanPatch & { k: number } = Object.assign(
      { k: config.plan.k },
      ...arms.map(({ arm }) => arm.parameters),
    );
    return list.slice(0, k).filter(({ relevance }) => relevance >= minRelevance);
  }

  function charge({ adId, dailyBudgetMicros }: Entrant, priceMicros: number, day: string): void {
    const key = `${day} ${adId}`;
    const before = spent.get(key) ?? 0;
    spent.set(key, before + priceMicros);
    const budget = dailyBudgetMicros * budgets;
    if (before < budget && before + priceMicros >= budget) exhausted++;
  }

  function connect(person: Person): EdgeClient {
    const slotsOf = new Map<string, { slot: AuctionSlot<Entrant>; impressionId: string }>();
    return {
      async search(text, atMs) {
        const query = queries.get(`${person.market} ${text}`);
        if (query === undefined) return { status: 404 };
        const number = ++answered;
        const id = `${name}-${number}`;
        // Without a cookie every request is a unit of its own.
        const unitId = `${name}-${person.kind === 'crawler' ? `visit-${number}` : person.id}`;
        const { list, cached } = entrants(query);
        const open = list.filter((entrant) => isOpen(entrant, dayOf(atMs)));
        const pageUnder = (arms: readonly Pick<Assigned, 'arm'>[]) => auction(kept(open, arms), config.auction);
        const ask = `${person.market}-${hash32(text).toString(16)}`;
        const units = { user: unitId, query: ask, 'query-day': `${ask}-${dayOf(atMs)}` };
        const visit = { units, market: person.market, locale: 'en', device: person.device, atMs };
        const assigned = assign(visit, config.experiments);
        const slots = pageUnder(assigned);
        const assignments = assigned.map((each) => {
          const { experiment, arm, unitId: drawnBy, washout } = each;
          const others = experiment.arms
            .filter((other) => other !== arm)
            .map((other) => assigned.map((own) => (own === each ? { arm: other } : own)));
          return {
            experiment: experiment.key,
            layer: experiment.layer,
            arm: arm.key,
            ...(drawnBy === unitId ? {} : { unitId: drawnBy }),
            ...(washout === undefined ? {} : { washout }),
            ...(isCompared(experiment, drawnBy) && {
              triggered: !others.every((arms) => alike(slots, pageUnder(arms))),
            }),
          };
        });
        const backendMs = cached ? 0 : Math.round(latency.logNormal(6, 0.4) * 100) / 100;
        const totalMs = Math.round((backendMs + latency.logNormal(0.8, 0.5)) * 100) / 100;
        const timings = { totalMs, backendMs, encodeMs: 0, searchMs: 0 };
        const cache = { status: cached ? ('memory' as const) : ('miss' as const), ageMs: 0 };
        emit({
          type: 'impression',
          id,
          atMs,
          unitId,
          bot: person.kind === 'crawler',
          device: person.device,
          market: person.market,
          locale: 'en',
          query: query.normalized,
          assignments,
          planFingerprint: 'simulated',
          configVersion: config.version,
          generation: null,
          model: null,
          cache,
          rung: 'fresh',
          slots: slots.map(({ position, candidate: { adId, relevance }, priceMicros }) => ({
            position,
            adId,
            relevance,
            priceMicros,
            retrievers: [],
          })),
          timings,
        });
        slotsOf.clear();
        for (const slot of slots) slotsOf.set(`${id}:${slot.position}`, { slot, impressionId: id });
        const answer: AdsResponse = {
          requestId: id,
          query: { raw: text, normalized: query.normalized },
          assignments,
          cache,
          rung: 'fresh',
          generation: null,
          model: null,
          slots: slots.map(({ position, candidate: { adId } }) => ({
            position,
            adId,
            title: '',
            description: '',
            displayUrl: '',
            clickUrl: `${id}:${position}`,
          })),
          timings,
        };
        return { status: 200, answer };
      },

      async click(clickId, atMs) {
        const found = slotsOf.get(clickId);
        if (found === undefined) return undefined;
        const { slot, impressionId } = found;
        const { position, candidate, priceMicros } = slot;
        const bot = person.kind === 'crawler';
        if (!bot && !clicked.has(clickId)) charge(candidate, priceMicros, dayOf(atMs));
        clicked.add(clickId);
        const { adId } = candidate;
        emit({ type: 'click', id: clickId, atMs, impressionId, adId, position, chargeMicros: priceMicros, bot });
        return clickId;
      },

      async convert({ clickId, orderId, valueMicros }, atMs) {
        const id = `${clickId}:${hash32(orderId).toString(16)}`;
        emit({ type: 'conversion', id, atMs, clickId, valueMicros });
        return true;
      },
    };
  }

  return { connect, exhausted: () => exhausted };
}

/** Whether two pages show the same ads at the same prices. */
function alike(a: readonly AuctionSlot<Entrant>[], b: readonly AuctionSlot<Entrant>[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ candidate, priceMicros }, i) => candidate.adId === b[i]!.candidate.adId && priceMicros === b[i]!.priceMicros,
    )
  );
}
