/** `npm run market`: writes the market as files, for training and for the benchmarks. */
import { argv, stderr, stdout } from 'node:process';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { type DatasetMeta, writeDataset } from './dataset.ts';

/** Where the dataset lies unless told otherwise. */
const DEFAULT_FOLDER = '.harness/market';

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('expected a whole number >= 0');
  return value;
}

const isRefusedByDisk = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error;

/** The command; parsing its arguments runs it. */
function createExportCommand(): Command {
  return new Command('market')
    .description('Write the market in a box (catalogue, queries, clicks, judgements, general text) as JSON Lines.')
    .option('--out <folder>', 'folder to write to', DEFAULT_FOLDER)
    .option('--seed <number>', 'seed: the same seed gives the same bytes', integer, 1)
    .option('--json', 'print the contents of meta.json instead of a summary')
    .action((options: { out: string; seed: number; json?: boolean }, command: Command) => {
      const bar = stderr.isTTY ? new SingleBar({ format: '{bar} {value}/{total} {file}', stream: stderr }) : undefined;
      bar?.start(1, 0, { file: 'reading WordNet' });
      let meta: DatasetMeta;
      try {
        meta = writeDataset(options.out, {
          seed: options.seed,
          onProgress: ({ file, done, total }) => {
            bar?.setTotal(total);
            bar?.update(done, { file });
          },
        });
      } catch (error) {
        if (!isRefusedByDisk(error)) throw error;
        return command.error(`--out: ${options.out} cannot be written (${error.message}).`);
      } finally {
        bar?.stop();
      }
      if (options.json) stdout.write(`${JSON.stringify(meta, null, 2)}\n`);
      else {
        for (const [file, { lines }] of Object.entries(meta.files)) {
          stdout.write(`${file.padEnd(26)}${lines.toLocaleString('en').padStart(10)} lines\n`);
        }
        stdout.write(`written to ${options.out}\n`);
      }
    });
}

if (argv[1] === import.meta.filename) await createExportCommand().name('npm run market --').parseAsync();
