/**
 * Whether the statistics keep their word: error rates, coverage, power, saving and interference, each in simulated experiments;
 * and how fast a report is.
 */
import { horizonRows } from './experiments/horizon.ts';
import { interferenceRows } from './experiments/interference.ts';
import { lookRows } from './experiments/looks.ts';
import { marketPlanningRows } from './experiments/market-planning.ts';
import { planningRows } from './experiments/planning.ts';
import { createPopulation } from './experiments/population.ts';
import { rollupRows } from './rollups.ts';
import type { Bench } from './row.ts';

export const experiments: Bench = async ({ quick, say }) => {
  // first, while nothing else has filled the memory
  const speed = await rollupRows({ quick, say });
  const population = createPopulation(20_000, 1);
  return {
    detail: speed.detail,
    rows: [
      ...speed.rows,
      ...horizonRows(population, quick ? 4_000 : 10_000, say),
      ...lookRows(population, quick ? 500 : 2_000, say),
      ...planningRows(createPopulation(2_000, 2), quick ? 1_000 : 5_000, say),
      ...(await marketPlanningRows(
        quick ? { queries: 40_000, experiments: 500 } : { queries: 300_000, experiments: 2_000 },
        say,
      )),
      ...interferenceRows(quick ? 20 : 100, say),
    ],
  };
};
