/** Whether the statistics keep their word: error rates, coverage, power, saving and interference, each in simulated experiments. */
import { horizonRows } from './experiments/horizon.ts';
import { interferenceRows } from './experiments/interference.ts';
import { lookRows } from './experiments/looks.ts';
import { planningRows } from './experiments/planning.ts';
import { createPopulation } from './experiments/population.ts';
import type { Bench } from './row.ts';

export const experiments: Bench = async ({ quick, say }) => {
  const population = createPopulation(20_000, 1);
  return {
    rows: [
      ...horizonRows(population, quick ? 4_000 : 10_000, say),
      ...lookRows(population, quick ? 500 : 2_000, say),
      ...planningRows(createPopulation(2_000, 2), quick ? 1_000 : 5_000, say),
      ...interferenceRows(quick ? 20 : 100, say),
    ],
  };
};
