/** `npm run forget`: deletes events that are kept no longer, by age or of one visitor; what reports need of them stays summed. */
import { Command, InvalidArgumentError } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { parseConfig, settingsHelp } from '../gpu-backend/config.ts';
import { type Database, openPglite, openPostgres } from '../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../gpu-backend/db/data-folder.ts';
import { isUndefinedTable } from '../gpu-backend/db/sql-error.ts';
import { type Forgotten, forgetBefore, forgetUnit } from '../gpu-backend/events/forget.ts';
import { HarnessError } from '../shared/problem.ts';

interface CommandOptions {
  /** Start of a UTC day. */
  before?: number;
  unit?: string;
  all?: boolean;
  json?: boolean;
}

const day = (text: string): number => {
  const atMs = Date.parse(`${text}T00:00:00Z`);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || Number.isNaN(atMs) || !new Date(atMs).toISOString().startsWith(text))
    throw new InvalidArgumentError('expected a day such as 2026-01-31');
  return atMs;
};

const JUST_NOW = 'events of theirs came just now, so that the next call takes them';
const deletedText = ({ impressions, exposures, clicks, conversions }: Forgotten) =>
  `Deleted: ${impressions} impressions, ${exposures} exposures, ${clicks} clicks, ${conversions} conversions.`;

async function forget(db: Database, { before, unit, all = false, json }: CommandOptions): Promise<string> {
  if (unit !== undefined) {
    const gone = await forgetUnit(db, unit);
    if (json) return JSON.stringify(gone);
    return gone.kept === 0
      ? `${deletedText(gone)} Renamed in the rollups: ${gone.renamed} rows.`
      : `${deletedText(gone)}\nKept: ${gone.kept} impressions; ${JUST_NOW}.`;
  }
  const gone = await forgetBefore(db, { beforeMs: before!, all, now: Date.now });
  if (json) return JSON.stringify(gone);
  const { kept, experiments } = gone;
  const why =
    experiments.length === 0 ? JUST_NOW : `experiments that run or ended later need them: ${experiments.join(', ')}`;
  return kept === 0 ? deletedText(gone) : `${deletedText(gone)}\nKept: ${kept} impressions of before; ${why}.`;
}

async function run(options: CommandOptions): Promise<void> {
  if ((options.before === undefined) === (options.unit === undefined))
    throw new HarnessError('bad_request', 'expected either --before or --unit.');
  if (options.unit !== undefined && options.all)
    throw new HarnessError('bad_request', '--all: expected --before beside it, got --unit.');
  // The same settings as the backend's; keys play no part.
  const { databaseUrl, dataDir } = parseConfig({ HARNESS_KEYS: 'unused:'.padEnd(32, '-'), ...process.env });
  const folder = databaseUrl === undefined ? lockDataFolder(dataDir) : undefined;
  const connection =
    folder === undefined
      ? await openPostgres(databaseUrl!, { application: 'harness-forget' })
      : await openPglite(folder);
  try {
    console.log(await forget(connection.db, options));
  } catch (error) {
    if (!isUndefinedTable(error)) throw error;
    const where = databaseUrl === undefined ? `HARNESS_DATA: ${dataDir}` : 'DATABASE_URL: the database';
    throw new HarnessError('configuration', `${where} has no events yet; expected one that a backend has served from.`);
  } finally {
    await connection.close();
    folder?.release();
  }
}

if (import.meta.main) {
  const program = new Command('npm run forget --')
    .description(
      'Deletes events that are kept no longer, in batches; called again it goes on. Reports keep their sums and lose what they read from rows. The embedded database must not be in use by a backend.',
    )
    .option('--before <day>', 'events of before this UTC day, 30 days ago or more, as 2026-01-31', day)
    .option('--all', 'with --before: also those that running experiments need for more than their sums')
    .option('--unit <id>', 'all events of one visitor, by the unit id')
    .option('--json', 'print the counts as JSON')
    .addHelpText('after', settingsHelp(['DATABASE_URL', 'HARNESS_DATA']))
    .allowExcessArguments(false)
    .parse();
  try {
    await run(program.opts<CommandOptions>());
  } catch (error) {
    exitWith(error);
  }
}
