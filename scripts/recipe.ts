/** `npm run recipe`: the recipe's command line; writes the bundled market's data first where it is missing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDataset } from '../marketplace/dataset.ts';
import { MARKET_SEED } from '../marketplace/market.ts';
import { createRecipeCommand } from '../training/recipe.ts';
import { exportLogsCommand } from './export-logs.ts';
import { exitWith } from './service.ts';

const MARKET = '.harness/market';

try {
  const asksForHelp = process.argv.some((argument) => argument === '--help' || argument === '-h');
  const ownData = process.argv.some((argument) => argument.startsWith('--data') || argument === 'export-logs');
  if (!asksForHelp && !ownData && !existsSync(join(MARKET, 'meta.json'))) {
    console.error(`Writing the bundled market to ${MARKET} ...`);
    await writeDataset(MARKET, { seed: MARKET_SEED });
  }
  await createRecipeCommand().name('npm run recipe --').addCommand(exportLogsCommand()).parseAsync();
} catch (error) {
  exitWith(error);
}
