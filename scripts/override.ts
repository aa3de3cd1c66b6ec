/**
 * `npx node scripts/override.ts`: signs an override: a request that carries it gets the arm of your choice and is left
 * out of every analysis.
 */
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import type { ExperimentDefinition } from '../shared/experiment-definition.ts';
import { HarnessError } from '../shared/problem.ts';
import { signOverride } from '../shared/qa-override.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { backendClient } from './backend-client.ts';
import { ENVIRONMENT } from './environment.ts';
import { fetchExperiments, readDefinitions } from './experiments.ts';
import { readKeys } from './keys.ts';
import { serviceUrl } from './service-url.ts';

interface CommandOptions {
  hours: string;
  data: string;
  edge: string;
  backend: string;
  dir?: string;
}

/** Of an experiment: what an override may name. */
type Known = Pick<ExperimentDefinition, 'key' | 'layer' | 'arms'>;

/**
 * `experiment=arm` pairs as a record; throws `bad_request` for what is not a pair, and for what is not among the known
 * ones.
 */
export function readArms(pairs: readonly string[], known: readonly Known[]): Record<string, string> {
  const arms = new Map<string, string>();
  const byLayer = new Map<string, string>();
  for (const pair of pairs) {
    const [key, arm, ...rest] = pair.split('=');
    if (!key || !arm || rest.length > 0) throw new HarnessError('bad_request', `Expected experiment=arm, got ${pair}.`);
    const experiment = known.find((each) => each.key === key);
    if (experiment === undefined) {
      const keys = known.map((each) => each.key).sort();
      throw new HarnessError('bad_request', `${pair}: there is no experiment ${key}; there are ${list(keys)}.`);
    }
    const its = experiment.arms.map((each) => each.key);
    if (!its.includes(arm))
      throw new HarnessError('bad_request', `${pair}: ${key} has no arm ${arm}; it has ${list(its)}.`);
    if (arms.has(key))
      throw new HarnessError('bad_request', `${pair}: expected one arm of ${key}, got ${arms.get(key)} before.`);
    const { layer } = experiment;
    const other = byLayer.get(layer);
    if (other !== undefined)
      throw new HarnessError(
        'bad_request',
        `${pair}: nobody is in two experiments of layer ${layer}, and there is ${other} before.`,
      );
    byLayer.set(layer, key);
    arms.set(key, arm);
  }
  return Object.fromEntries(arms);
}

const list = (names: readonly string[]) => names.join(', ') || 'none';

async function run(pairs: readonly string[], { hours, data, edge, backend, dir }: CommandOptions): Promise<void> {
  if (!(Number(hours) > 0 && Number.isFinite(Number(hours))))
    throw new HarnessError('bad_request', `--hours: expected a number above 0, got ${hours}.`);
  const page = new URL('/v1/ads?q=running+shoes', serviceUrl('--edge', edge));
  const keys = parseKeyRing(readKeys(data));
  const known =
    dir === undefined
      ? await fetchExperiments(backendClient(serviceUrl('--backend', backend), keys))
      : readDefinitions(dir);
  const token = await signOverride(keys, {
    arms: readArms(
      pairs,
      known.filter(({ status }) => status !== 'archived'), // edges know nothing of those
    ),
    expiresAtMs: Date.now() + Number(hours) * 3_600_000,
  });
  page.searchParams.set('qa', token);
  console.log(page.href);
}

if (import.meta.main) {
  const program = new Command('npx node scripts/override.ts')
    .description(
      'Sign a link that forces arms of experiments, drafts too; what it shows is left out of every analysis.',
    )
    .argument('<experiment=arm...>', 'the arms to force')
    .option('--hours <number>', 'how long the link is good for', '24')
    .option('--backend <url>', 'base URL of the backend, for its experiments', ENVIRONMENT.backendUrl)
    .option('--dir <folder>', 'KEY.json files to go by in the place of what the backend has')
    .option('--edge <url>', 'base URL of the edge', ENVIRONMENT.edgeUrl)
    .option('--data <dir>', 'data folder of npm start, for its keys', ENVIRONMENT.dataDir)
    .parse();
  try {
    await run(program.args, program.opts<CommandOptions>());
  } catch (error) {
    exitWith(error);
  }
}
