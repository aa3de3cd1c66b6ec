/** `npm run recipe`: the recipe's command line; writes the bundled market's data first where a run asks for it and it is missing. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { exitWith } from '../gpu-backend/command-line.ts';
import { writeDataset } from '../marketplace/dataset.ts';
import { MARKET_SEED } from '../marketplace/market.ts';
import { HarnessError } from '../shared/problem.ts';
import { loadConfig } from '../training/config.ts';
import { createRecipeCommand } from '../training/recipe.ts';
import { exportLogsCommand } from './export-logs.ts';

const MARKET = '.harness/market';
const exportLogs = exportLogsCommand();

/** Whether what is trained on is the bundled market. */
async function asksForMarket({ config, data }: { config: string; data?: string }): Promise<boolean> {
  return resolve(data ?? (await loadConfig(config, {})).data.folder) === resolve(MARKET);
}

function writeMarket(): void {
  try {
    writeDataset(MARKET, { seed: MARKET_SEED });
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    throw new HarnessError('configuration', `${MARKET} cannot be written (${cause.message}).`, { cause });
  }
}

try {
  await createRecipeCommand()
    .name('npm run recipe --')
    .addCommand(exportLogs)
    .hook('preAction', async (_, command) => {
      if (command === exportLogs || existsSync(join(MARKET, 'meta.json')) || !(await asksForMarket(command.opts())))
        return;
      console.error(`Writing the bundled market to ${MARKET} ...`);
      writeMarket();
    })
    .parseAsync();
} catch (error) {
  exitWith(error);
}
