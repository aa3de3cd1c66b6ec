/**
 * Whether the statistics keep their word: error rates, coverage, power, saving and interference, each in simulated experiments;
 * and how fast a report is. `--only NAME` makes one part.
 */
import { horizonRows } from './experiments/horizon.ts';
import { interferenceRows } from './experiments/interference.ts';
import { lookRows } from './experiments/looks.ts';
import { marketPlanningRows } from './experiments/market-planning.ts';
import { planningRows } from './experiments/planning.ts';
import { createPopulation } from './experiments/population.ts';
import { inParts } from './parts.ts';
import { rollupRows } from './rollups.ts';

const population = () => createPopulation(20_000, 1);

export const experiments = inParts({
  // first, while nothing else has filled the memory
  reports: rollupRows,
  horizon: async ({ quick, say }) => ({ rows: horizonRows(population(), quick ? 4_000 : 10_000, say) }),
  looks: async ({ quick, say }) => ({ rows: lookRows(population(), quick ? 500 : 2_000, say) }),
  planning: async ({ quick, say }) => ({ rows: planningRows(createPopulation(2_000, 2), quick ? 1_000 : 5_000, say) }),
  market: async ({ quick, say }) => ({
    rows: await marketPlanningRows(
      quick ? { queries: 40_000, experiments: 500 } : { queries: 300_000, experiments: 2_000 },
      say,
    ),
  }),
  interference: async ({ quick, say }) => ({ rows: interferenceRows(quick ? 20 : 100, say) }),
});
