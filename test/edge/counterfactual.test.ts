/** What the counterfactual log says, case by case; how it is asked for is in experiments.worker.test.ts. */
import { describe, expect, it } from 'vitest';
import type { Retrieved } from '../../edge/candidates.ts';
import { withTriggered } from '../../edge/counterfactual.ts';
import { ledgerEntry } from '../../edge/outbox/ledger-entry.ts';
import { Serving } from '../../edge/serving.ts';
import type { Visit } from '../../shared/assignment.ts';
import { auction } from '../../shared/auction.ts';
import type { Candidate } from '../../shared/contract/retrieve.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { impressionOf } from '../fixtures/experiment-traffic.ts';
import { CANDIDATES } from './stand-in.ts';

const pageOf = (candidates: readonly Candidate[]) => auction(candidates, DEFAULT_CONFIG.auction);
const listOf = (candidates: Candidate[], generation = 7): Retrieved => ({
  answer: { candidates, generation, model: 'student' },
  cache: { status: 'memory', ageMs: 0 },
  rung: 'fresh',
  reason: undefined,
  timings: { backendMs: 0, encodeMs: 0, searchMs: 0 },
});
const none: Retrieved = { ...listOf([]), answer: null, rung: 'empty' };
const ASSIGNMENTS = ['asked', 'other'].map((experiment) => ({ experiment, layer: experiment, arm: 'control' }));

/** The log's word on the experiment that was asked about. */
function word(own: Retrieved, others: readonly Retrieved[] | undefined): boolean | undefined {
  const [asked, other] = withTriggered(ASSIGNMENTS, {
    others: new Map([['asked', others]]),
    retrieved: own,
    slots: pageOf(own.answer?.candidates ?? []),
    pageOf,
  });
  expect(other).toEqual(ASSIGNMENTS[1]);
  return asked!.triggered;
}

describe('the counterfactual log', () => {
  // The last of the list is worth least: neither shown, nor what another has to beat.
  const unseen = { ...CANDIDATES[0]!, adId: 'unseen', advertiserId: 'unseen', bidMicros: 51_000, relevance: 0.02 };
  it.each<[string, boolean, Retrieved, readonly Retrieved[] | undefined]>([
    ['the same list', false, listOf(CANDIDATES), [listOf(CANDIDATES)]],
    ['another list that comes to the same page', false, listOf(CANDIDATES), [listOf([...CANDIDATES, unseen])]],
    ['no other plan', false, listOf(CANDIDATES), []],
    ['fewer ads', true, listOf(CANDIDATES), [listOf(CANDIDATES.slice(0, 2))]],
    ['no ads on either side', false, listOf([]), [listOf([])]],
    ['one of several others', true, listOf(CANDIDATES), [listOf(CANDIDATES), listOf([])]],
    ['a list of another generation', true, listOf(CANDIDATES), [listOf(CANDIDATES, 8)]],
    ['a list that nobody gave', true, listOf(CANDIDATES), [none]],
    ['none of its own', true, none, [listOf([])]],
    ['a question that failed', true, listOf(CANDIDATES), undefined],
  ])('of %s says %s', (_what, triggered, own, others) => {
    expect(word(own, others)).toBe(triggered);
  });

  it('is asked for units of the share, not for forced arms', async () => {
    const [experiment] = DEFAULT_CONFIG.experiments;
    const key = experiment!.key;
    const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [{ ...experiment!, counterfactualShare: 0.3 }] });
    const visit = (user: string): Visit => ({ units: { user }, market: 'us', locale: 'en', device: 'desktop' });
    const units = Array.from({ length: 1_000 }, (_, i) => `unit-${i}`);
    const plans = await Promise.all(units.map((unit) => serving.planOf(visit(unit))));
    const asked = plans.filter(({ counterfactuals }) => counterfactuals.length > 0);
    expect(Math.abs(asked.length - 300)).toBeLessThan(4 * Math.sqrt(1_000 * 0.3 * 0.7));
    const treated = asked.filter(({ assignments }) => assignments[0]!.arm === 'treatment');
    expect(Math.abs(treated.length / asked.length - 0.5)).toBeLessThan(0.12);
    for (const { fingerprint, counterfactuals } of asked) {
      expect(counterfactuals).toMatchObject([{ experiment: key, plans: [{}] }]);
      expect(counterfactuals[0]!.plans[0]!.fingerprint).not.toBe(fingerprint);
    }
    const unit = units[plans.indexOf(asked[0]!)]!;
    const forced = await serving.planOf(visit(unit), { overrides: new Map([[key, 'control']]) });
    expect(forced.counterfactuals).toEqual([]);
  });
});

it('of one experiment is asked about that one alone, each time beside the arms of the other layers', async () => {
  const [experiment] = DEFAULT_CONFIG.experiments;
  const arms = experiment!.arms.map((arm) => ({ ...arm, parameters: { k: arm.key === 'control' ? 10 : 20 } }));
  const depth = { ...experiment!, key: 'depth', layer: 'depth', arms };
  const logged = { ...experiment!, counterfactualShare: 1 };
  const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [logged, depth] });
  const seen = new Set<number>();
  for (let unit = 0; unit < 20; unit++) {
    const visit: Visit = { units: { user: `unit-${unit}` }, market: 'us', locale: 'en', device: 'desktop' };
    const { plan, counterfactuals } = await serving.planOf(visit);
    expect(counterfactuals).toMatchObject([{ experiment: logged.key, plans: [{ plan: { k: plan.k } }] }]);
    seen.add(plan.k);
  }
  expect(seen.size).toBe(2);
});

it('the ledger does not wait for exposures that a washout left out', () => {
  const impression = impressionOf({ id: 'one', unit: 'u', arm: 'control' });
  const [assignment] = impression.assignments;
  const entry = (washout: boolean) => ledgerEntry({ ...impression, assignments: [{ ...assignment!, washout }] });
  expect([entry(false), entry(true)]).toEqual(['impression-one test/control', 'impression-one']);
});
