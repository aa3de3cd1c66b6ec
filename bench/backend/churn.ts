/**
 * A generation that lives: ads paused and resumed ten thousand times a second while it is searched, new ads, and half of the
 * catalogue exchanged without a rebuild. What is measured is the live state as a query finds it, without encoder and HTTP.
 */
import { median } from 'simple-statistics';
import { Live } from '../../gpu-backend/generations/live.ts';
import { loadGeneration } from '../../gpu-backend/generations/load.ts';
import type { AdVector } from '../../gpu-backend/generations/vectors.ts';
import type { Hit } from '../../gpu-backend/index/ann-index.ts';
import { sixteenBits, UNIT_16 } from '../../gpu-backend/index/vector-rows.ts';
import { createRandom } from '../../marketplace/random.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { bounded, type Row } from '../row.ts';
import { benchVectors, exactNeighbours, K, recallAt } from './ad-vectors.ts';
import { benchGeneration } from './generation.ts';

const FLIPS_A_SECOND = 10_000;
const NEW_ADS = 200;
/** Turns of each search that is timed. */
const TURNS = 5;
/** Length of the difference between a new ad's vector and the one it is like. */
const NOISE = 0.35;
const SCOPE = { market: 'us', admits: () => true };

const at = (share: number, values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))]!;

export async function churnRows(options: {
  ads: number;
  seconds: number;
  say: (line: string) => void;
}): Promise<Row[]> {
  const { ads: count, seconds, say } = options;
  const turnMs = (1_000 * seconds) / TURNS;
  const made = await benchGeneration(count, say);
  const generation = await loadGeneration(made.path, { spaceId: made.spaceId });
  // Read before the live state takes the generation over.
  const { rows } = generation;
  const live = new Live({ spaceId: made.spaceId });
  await live.swap(generation);
  // One that stays as it is, so that before and after can be asked in turn: the machine is not the same a minute later.
  const atRest = new Live({ spaceId: made.spaceId });
  await atRest.swap(await loadGeneration(made.path, { spaceId: made.spaceId }));
  const { queries, dimension } = await benchVectors(Math.min(count, 10_000), { say });
  const random = createRandom(1, 'churn');
  const active = new Map<string, { ad: Ad; vector: Float32Array }>();
  for (const [row, { ad }] of generation.ads.entries()) {
    if (ad.status === 'active') active.set(ad.id, { ad, vector: rows.unit(row) });
  }
  let revision = 10;
  const ask = (query: Float32Array, limit = K, { view } = live): Hit[] => {
    if (view === undefined) throw new Error('nothing is live');
    const proposed = view.propose(query, { limit, ...SCOPE }) as Hit[];
    return view.dense(query, proposed, { limit, ...SCOPE });
  };
  const idsOf = (hits: readonly Hit[], { view } = live) => hits.map(({ row }) => view!.ad(row).id);
  const recall = () => {
    const ids = [...active.keys()];
    const matrix = new Float32Array(ids.length * dimension);
    for (const [i, id] of ids.entries()) matrix.set(active.get(id)!.vector, i * dimension);
    const place = new Map(ids.map((id, i) => [id, i]));
    const sample = queries.slice(0, 200);
    const answers = sample.map((query) => idsOf(ask(query)).map((id) => place.get(id) ?? -1));
    return recallAt(answers, exactNeighbours(matrix, sample, dimension));
  };

  const paused = new Map<string, Ad>();
  let returned = 0;
  /** One change of state, held from the moment that this returns. */
  const flip = (ids: readonly string[]) => {
    const resumed = random.next() < 0.5 ? paused.values().next().value : undefined;
    const ad = resumed ?? active.get(ids[random.int(ids.length)]!)!.ad;
    const status = paused.has(ad.id) ? 'active' : 'paused';
    live.applyUpsert({ ...ad, status }, ++revision);
    if (status === 'paused') paused.set(ad.id, ad);
    else paused.delete(ad.id);
  };
  /** Milliseconds of each query in a turn, changes that came before it included. */
  const search = (flipsASecond: number, of = live) => {
    const ids = [...active.keys()];
    const times: number[] = [];
    const began = performance.now();
    for (let i = 0, flips = 0; performance.now() - began < turnMs; i++) {
      const start = performance.now();
      for (const due = ((start - began) / 1000) * flipsASecond; flips < due; flips++) flip(ids);
      const found = idsOf(ask(queries[i % queries.length]!, K, of), of);
      times.push(performance.now() - start);
      for (const id of found) if (paused.has(id)) returned++;
    }
    for (const ad of paused.values()) live.applyUpsert({ ...ad, status: 'active' }, ++revision);
    paused.clear();
    return times;
  };
  const another = (vector: Float32Array): { vector: Float32Array; stored: AdVector } => {
    const scale = NOISE * Math.sqrt(3 / dimension);
    const components = sixteenBits(vector.map((value) => value + scale * (2 * random.next() - 1)));
    return {
      vector: Float32Array.from(components, (value) => value / UNIT_16),
      stored: { components, source: 'uploaded' },
    };
  };

  /** The same in turns: what is compared is of one turn, and a turn's first queries find the caches as another's work left them. */
  const inTurn = <Name extends string>(ways: Record<Name, () => number[]>): Record<Name, number[]>[] =>
    Array.from({ length: TURNS }, () => {
      const turn = {} as Record<Name, number[]>;
      for (const name of Object.keys(ways) as Name[]) turn[name] = ways[name]();
      return turn;
    });
  search(0); // warm
  const beforeTurnover = inTurn({ quiet: () => search(0), flipped: () => search(FLIPS_A_SECOND) });
  say(`searched under ${FLIPS_A_SECOND} changes a second`);
  const recallBefore = recall();

  const old = [...active.values()];
  const ready: number[] = [];
  let missed = 0;
  let next = 0;
  const add = () => {
    const like = old[random.int(old.length)]!;
    const { vector, stored } = another(like.vector);
    const ad: Ad = { ...like.ad, id: `new-${next++}`, title: `${like.ad.title} N${next}`.slice(-90) };
    live.applyUpsert(ad, ++revision, stored);
    active.set(ad.id, { ad, vector });
    return { ad, vector };
  };
  for (let i = 0; i < NEW_ADS; i++) {
    const start = performance.now();
    const { ad, vector } = add();
    if (idsOf(ask(vector, 1))[0] !== ad.id) missed++;
    ready.push(performance.now() - start);
  }

  const leaving = old.filter(() => random.next() < 0.5);
  for (const [i, { ad }] of leaving.entries()) {
    live.applyDelete(ad.id, ++revision);
    active.delete(ad.id);
    if (i >= NEW_ADS) add();
    if (i % Math.ceil(leaving.length / 5) === 0) say(`turnover: ${i} of ${leaving.length} ads exchanged`);
  }
  const recallAfter = recall();
  const afterTurnover = inTurn({
    rest: () => search(0, atRest),
    turned: () => search(0),
    flipped: () => search(FLIPS_A_SECOND),
  });

  const on = `${count} ads`;
  const ms = (name: string, turns: readonly number[][]): Row[] =>
    [0.5, 0.99].map((share) => ({
      metric: `${on}: search ${name}, p${100 * share}`,
      value: median(turns.map((times) => at(share, times))),
      unit: 'ms',
    }));
  const ratio = (metric: string, turns: readonly (readonly [number[], number[]])[]) => {
    const ratios = turns.map(([a, b]) => at(0.99, a) / at(0.99, b));
    return bounded(`${on}: ${metric}`, median(ratios), `ratio, median of ${TURNS} turns`, ['<=', 2]);
  };
  const before = beforeTurnover.map(({ quiet, flipped }) => [flipped, quiet] as const);
  return [
    ...ms(
      'at rest',
      beforeTurnover.map(({ quiet }) => quiet),
    ),
    ...ms(
      'under 10,000 changes of budget a second',
      beforeTurnover.map(({ flipped }) => flipped),
    ),
    ratio('p99 under changes / at rest', before),
    ...ms(
      'after 50 % turnover',
      afterTurnover.map(({ turned }) => turned),
    ),
    ratio(
      'p99 after turnover / before',
      afterTurnover.map(({ turned, rest }) => [turned, rest] as const),
    ),
    ratio(
      'p99 under changes / at rest, after turnover',
      afterTurnover.map(({ turned, flipped }) => [flipped, turned] as const),
    ),
    bounded(`${on}: paused ads returned after the acknowledgement`, returned, 'ads', ['<=', 0]),
    bounded(`${on}: new ads not found by the next query`, missed, 'ads', ['<=', 0]),
    bounded(`${on}: a new ad until it is found, slowest of ${NEW_ADS}`, Math.max(...ready), 'ms', ['<=', 1000]),
    { metric: `${on}: recall@${K} before turnover`, value: recallBefore, unit: 'share' },
    { metric: `${on}: recall@${K} after turnover`, value: recallAfter, unit: 'share' },
    bounded(`${on}: recall lost by 50 % turnover`, 100 * (recallBefore - recallAfter), 'points', ['<=', 1]),
  ];
}
