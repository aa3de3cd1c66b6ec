/** `npx node scripts/override.ts`: signs an override, with which a request sees the arm of one's choice and counts for nothing. */
import { Command } from 'commander';
import { HarnessError } from '../shared/problem.ts';
import { signOverride } from '../shared/qa-override.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { readKeys } from './keys.ts';
import { exitWith } from './service.ts';

interface CommandOptions {
  hours: string;
  data: string;
  edge: string;
}

/** `experiment=arm` pairs as a record; throws `bad_request`. */
function readArms(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [experiment, arm, ...rest] = pair.split('=');
      if (!experiment || !arm || rest.length > 0)
        throw new HarnessError('bad_request', `Expected experiment=arm, got ${pair}.`);
      return [experiment, arm];
    }),
  );
}

async function run(pairs: readonly string[], { hours, data, edge }: CommandOptions): Promise<void> {
  if (!(Number(hours) > 0)) throw new HarnessError('bad_request', `--hours: expected a number above 0, got ${hours}.`);
  const token = await signOverride(parseKeyRing(readKeys(data)), {
    arms: readArms(pairs),
    expiresAtMs: Date.now() + Number(hours) * 3_600_000,
  });
  console.log(`${edge}/v1/ads?q=running+shoes&qa=${token}`);
}

if (import.meta.main) {
  const program = new Command('npx node scripts/override.ts')
    .description(
      'Sign a link that forces arms of experiments, drafts too; what it shows is left out of every analysis.',
    )
    .argument('<experiment=arm...>', 'the arms to force')
    .option('--hours <number>', 'how long the link is good for', '24')
    .option('--edge <url>', 'base URL of the edge', process.env.EDGE_URL ?? 'http://127.0.0.1:8787')
    .option('--data <dir>', 'data folder of npm start, for its keys', process.env.HARNESS_DATA ?? '.harness')
    .parse();
  try {
    await run(program.args, program.opts<CommandOptions>());
  } catch (error) {
    exitWith(error);
  }
}
