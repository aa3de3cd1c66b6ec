/** `npm run load -- FILE`: a file of ads into the catalogue. If it is killed, the next call continues where it was. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { bulkLoad } from '../gpu-backend/catalogue/bulk-load.ts';
import { exitWith } from '../gpu-backend/command-line.ts';
import { parseConfig, settingsHelp } from '../gpu-backend/config.ts';
import { openPglite, openPostgres } from '../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../gpu-backend/db/data-folder.ts';
import { migrate } from '../gpu-backend/db/migrate.ts';
import { loadBundle } from '../gpu-backend/encoder/bundle.ts';
import { openBulkFile, reportFile } from './bulk-file.ts';
import { progressBar } from './progress.ts';

const share = (text: string): number => {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('expected a share between 0 and 1');
  return value;
};

const program = new Command('npm run load --')
  .description(
    'Loads a file of ads into the catalogue: all of it at once, or nothing. The embedded database must not be in use by a backend; a running backend serves the ads with its next generation.',
  )
  .argument('<file>', '.jsonl, .jsonl.gz or .parquet; a row is an ad as PUT /v1/ads/:id takes it')
  .option('--max-bad <share>', 'share of bad rows above which nothing is loaded', share, 0.01)
  .option('--report <file>', 'where bad rows are written (default: the file with .bad.jsonl behind it)')
  .option('--json', 'print the result as JSON')
  .addHelpText('after', settingsHelp(['DATABASE_URL', 'HARNESS_DATA', 'HARNESS_BUNDLE']))
  .parse();

async function load(path: string, options: { maxBad: number; report?: string; json?: boolean }): Promise<void> {
  const config = parseConfig({ HARNESS_KEYS: 'unused:'.padEnd(32, '-'), ...process.env });
  const file = await openBulkFile(path);
  const { manifest } = await loadBundle(config.bundleDir);
  const folder = config.databaseUrl === undefined ? lockDataFolder(config.dataDir) : undefined;
  const report = options.report ?? `${path}.bad.jsonl`;
  const bar = progressBar('ads');
  try {
    const connection = await (folder === undefined
      ? openPostgres(config.databaseUrl!, { application: 'harness-load' })
      : openPglite(folder));
    try {
      await migrate(connection.db);
      const result = await bulkLoad({
        connection,
        space: manifest,
        file: { name: resolve(path), digest: file.digest },
        read: file.read,
        report: reportFile(report),
        maxBadShare: options.maxBad,
        onProgress: (done, phase) => bar.update(done, file.rows, phase === 'applying' ? 'into the catalogue' : ''),
      });
      bar.stop();
      if (options.json) console.log(JSON.stringify({ ...result, report }));
      else {
        const { loaded, rejected, resumedAfter } = result;
        if (resumedAfter > 0) console.log(`Went on after row ${resumedAfter}.`);
        console.log(
          loaded === 0
            ? `${path} has no ads: nothing was loaded.`
            : `${loaded} ads of ${path} are in the catalogue; publish them with POST /v1/generations.`,
        );
        if (rejected > 0) console.log(`${rejected} rows were bad: ${report} says which and why.`);
      }
    } finally {
      await connection.close();
    }
  } finally {
    bar.stop();
    folder?.release();
  }
}

try {
  await load(program.args[0]!, program.opts());
} catch (error) {
  exitWith(error);
}
