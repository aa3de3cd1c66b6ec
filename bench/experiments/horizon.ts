/**
 * Tests with one look: false positives where the arms are alike, coverage where they differ by a known effect, for each kind
 * of metric.
 */
import { unitsAbove } from '../../gpu-backend/experiments/caps.ts';
import { adjust } from '../../gpu-backend/experiments/estimators/cuped.ts';
import type { Estimate } from '../../gpu-backend/experiments/estimators/estimate.ts';
import { postStratify } from '../../gpu-backend/experiments/estimators/post-stratify.ts';
import { clusteredQuantile } from '../../gpu-backend/experiments/estimators/quantile.ts';
import { estimateQuantity, type Quantity } from '../../gpu-backend/experiments/estimators/quantity.ts';
import { rowsByUnit } from '../../gpu-backend/experiments/estimators/rows-by-unit.ts';
import { compare } from '../../gpu-backend/experiments/estimators/welch.ts';
import { createRandom } from '../../marketplace/random.ts';
import type { Row } from '../row.ts';
import { drawPeople, namesOf, Sums } from './draws.ts';
import { grown, type Name, type Population } from './population.ts';

const CONFIDENCE = 0.95;
/** Units of control and treatment: unequal, as in a ramp-up. */
const UNITS = [1_500, 1_000] as const;
const RPM: Quantity<Name> = { numerator: 'revenue', denominator: 'queries', scale: 1_000 };

/** People of both arms to estimates of both arms. */
type Estimator = (arms: readonly (readonly number[])[], populations: readonly Population[]) => (Estimate | undefined)[];

interface Kind {
  name: string;
  estimate: Estimator;
  /** What the metric is a mean or ratio of; absent where no effect is set. */
  truth?: Quantity<Name>;
  units?: readonly [number, number];
}

function filled(population: Population, names: readonly Name[], people: readonly number[], limit?: number): Sums {
  const sums = new Sums(population, names);
  for (const person of people) sums.add(person, 1, limit);
  return sums;
}

const plain =
  (quantity: Quantity<Name>): Estimator =>
  (arms, populations) =>
    arms.map((people, at) => estimateQuantity(filled(populations[at]!, namesOf(quantity), people), quantity));

const cuped =
  (quantity: Quantity<Name>, covariate: Quantity<Name>): Estimator =>
  (arms, populations) =>
    adjust(
      arms.map((people, at) => filled(populations[at]!, namesOf(quantity, covariate), people)),
      { quantity, covariate },
    )?.estimates ?? [];

const stratified =
  (quantity: Quantity<Name>): Estimator =>
  (arms, populations) =>
    postStratify(
      [0, 1, 2, 3].map((market) =>
        arms.map((people, at) => {
          const { market: markets } = populations[at]!;
          return filled(
            populations[at]!,
            namesOf(quantity),
            people.filter((person) => markets[person] === market),
          );
        }),
      ),
      quantity,
    );

const cappedMean: Estimator = (arms, populations) => {
  const all = Float64Array.from(
    arms.flatMap((people, at) => people.map((person) => populations[at]!.values.revenue[person]!)),
  ).sort();
  const threshold = all.at(-1 - unitsAbove(0.99, all.length));
  return arms.map((people, at) =>
    estimateQuantity(filled(populations[at]!, ['revenue'], people, threshold), { numerator: 'revenue' }),
  );
};

const slowest: Estimator = (arms, populations) =>
  arms.map((people, at) =>
    clusteredQuantile(rowsByUnit(people.map((person) => [...populations[at]!.latencies[person]!])), 0.95),
  );

const KINDS: readonly Kind[] = [
  { name: 'mean', estimate: plain({ numerator: 'revenue' }), truth: { numerator: 'revenue' } },
  { name: 'ratio', estimate: plain(RPM), truth: RPM },
  {
    name: 'mean, CUPED',
    estimate: cuped({ numerator: 'revenue' }, { numerator: 'pastRevenue' }),
    truth: { numerator: 'revenue' },
  },
  { name: 'ratio, CUPED', estimate: cuped(RPM, { numerator: 'pastRevenue', denominator: 'pastQueries' }), truth: RPM },
  { name: 'mean, post-stratified', estimate: stratified({ numerator: 'revenue' }), truth: { numerator: 'revenue' } },
  { name: 'mean, capped at 99 %', estimate: cappedMean },
  { name: '95th percentile of latency', estimate: slowest, units: [300, 300] },
];

function share(tests: number, hit: () => boolean): number {
  let hits = 0;
  for (let test = 0; test < tests; test++) if (hit()) hits++;
  return (100 * hits) / tests;
}

const within = (metric: string, value: number, [low, high]: [number, number]): Row => ({
  metric,
  value,
  unit: '%',
  target: `${low} to ${high}`,
  ok: value >= low && value <= high,
});

/** A row of false positives and, where an effect can be set, one of coverage, for each kind of metric. */
export function horizonRows(population: Population, tests: number, say: (line: string) => void): Row[] {
  const treated = grown(population, 'revenue', 0.05, 5);
  const rows: Row[] = [];
  for (const { name, estimate, truth, units = UNITS } of KINDS) {
    say(`${name}: ${tests} tests with one look`);
    const random = createRandom(20_26, name);
    const draw = (populations: readonly Population[]) =>
      estimate(
        populations.map((each, at) => drawPeople(each, units[at]!, random)),
        populations,
      );
    const alike = () => {
      const [control, treatment] = draw([population, population]);
      return compare(control, treatment, CONFIDENCE)?.significant === true;
    };
    rows.push(within(`A/A false positives, ${name}`, share(tests, alike), [4, 6]));
    if (truth === undefined) continue;
    const value = (of: Population) => estimateQuantity(filled(of, namesOf(truth), [...of.market.keys()]), truth)!.value;
    const effect = value(treated) / value(population) - 1;
    const covered = () => {
      const [control, treatment] = draw([population, treated]);
      const interval = compare(control, treatment, CONFIDENCE)?.relativeInterval;
      return interval != null && interval[0] <= effect && effect <= interval[1];
    };
    rows.push(within(`coverage of the relative effect, ${name}`, share(tests, covered), [94, 96]));
  }
  return rows;
}
