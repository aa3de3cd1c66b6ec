/** `npm run recipe`: from a teacher, queries and a catalogue to a published bundle. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { HarnessError } from '../shared/problem.ts';
import { ABLATION, ablate, ablationTable } from './ablate/ablate.ts';
import { loadConfig } from './config.ts';
import { openRecipe } from './context.ts';
import type { EvaluationReport } from './evaluate/report.ts';
import { evaluationTable } from './evaluate/table.ts';
import type { LossPoint } from './phases/train.ts';
import { calibrateBundle } from './stages/calibrate.ts';
import { evaluateBundle } from './stages/evaluate.ts';
import { exportBundle } from './stages/export.ts';
import { teach } from './stages/teach.ts';
import { alignPrepared, prepare, refinePrepared, trainStudent } from './stages/train-student.ts';

const DEFAULT_CONFIG = resolve(import.meta.dirname, 'default.config.ts');
const DEFAULT_BUNDLE = 'models/default';

interface Options {
  readonly teacher?: string;
  readonly data?: string;
  readonly config: string;
  readonly seed?: number;
  readonly steps?: number;
  readonly out: string;
  readonly bundle: string;
  readonly json?: boolean;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('expected a whole number >= 0');
  return value;
}

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const open = async (options: Options) => {
  const { teacher, data: folder, seed, steps } = options;
  return openRecipe(await loadConfig(options.config, { teacher, folder, seed, steps }), say);
};

function print(report: EvaluationReport, json: boolean | undefined): void {
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : evaluationTable(report));
}

/** Options that every command has. */
const common = (command: Command): Command =>
  command
    .option(
      '--teacher <folder|repository>',
      'checkpoint folder, or Hugging Face repository (default: from the configuration)',
    )
    .option('--data <folder>', 'dataset folder (default: from the configuration)')
    .addOption(
      new Option('--config <file>', 'configuration (.ts, .js or .json)').default(
        DEFAULT_CONFIG,
        'training/default.config.ts', // in the repository, wherever that is
      ),
    )
    .option('--seed <number>', 'seed (default: from the configuration)', whole)
    .option('--steps <number>', 'alignment steps (default: from the configuration)', whole)
    .option('--json', 'print the result as JSON');

const published = async (options: Options) => {
  const context = await open(options);
  return exportBundle(context, { trained: await trainStudent(context), out: options.out });
};

/** Losses of a phase on stdout: all of them as JSON, the last one for people. */
function printLosses(losses: readonly LossPoint[], json: boolean | undefined): void {
  const last = losses.at(-1);
  const line = last
    ? `last mean loss ${last.loss.toFixed(5)}, at step ${last.step}`
    : 'left out: the settings ask for 0 steps';
  process.stdout.write(json ? `${JSON.stringify(losses)}\n` : `${line}\n`);
}

/** The command; parsing its arguments runs it. */
export function createRecipeCommand(): Command {
  const program = common(new Command('recipe').enablePositionalOptions())
    .description(
      'Train a student for a teacher, evaluate it, and publish both as a bundle. A killed run goes on where it was.',
    )
    .option('--out <folder>', 'bundle folder to write', DEFAULT_BUNDLE)
    .action(async (options: Options) => {
      const { manifest, report } = await published(options);
      say(`published ${manifest.name} in ${options.out}`);
      print(report, options.json);
    });
  program.addCommand(
    common(new Command('teach'))
      .description('Phase 1 alone: the teacher learns the market from clicked pairs; its state stays in .cache/.')
      .action(async (options: Options) => printLosses((await teach(await open(options))).losses, options.json)),
  );
  program.addCommand(
    common(new Command('align'))
      .description('Phases 1 and 2: teacher, its vectors, the student pruned and aligned.')
      .action(async (options: Options) => {
        const context = await open(options);
        const prepared = await prepare(context);
        printLosses((await alignPrepared(context, prepared)).losses, options.json);
        await prepared.validation?.close();
      }),
  );
  program.addCommand(
    common(new Command('refine'))
      .description('Phases 1 to 3: the student refined against the frozen ad vectors as well.')
      .action(async (options: Options) => {
        const context = await open(options);
        const prepared = await prepare(context);
        const aligned = await alignPrepared(context, prepared);
        const { refined } = await refinePrepared(context, { ...prepared, aligned });
        printLosses(refined.losses, options.json);
        await prepared.validation?.close();
      }),
  );
  program.addCommand(
    common(new Command('export'))
      .description('Publish what training has made (training first where it has not run to its end).')
      .option('--out <folder>', 'bundle folder to write', DEFAULT_BUNDLE)
      .action(async (options: Options) => {
        const { manifest } = await published(options);
        process.stdout.write(
          options.json ? `${JSON.stringify(manifest)}\n` : `published ${manifest.name} in ${options.out}\n`,
        );
      }),
  );
  program.addCommand(
    common(new Command('evaluate'))
      .description('Measure a published bundle: quality against its teacher and the floors, forgetting, and speed.')
      .option('--bundle <folder>', 'bundle folder to read', DEFAULT_BUNDLE)
      .action(async (options: Options) =>
        print(await evaluateBundle(await open(options), options.bundle), options.json),
      ),
  );
  program.addCommand(
    common(new Command('calibrate'))
      .description('Fit the relevance maps of a published bundle anew on the validation queries, without training.')
      .option('--bundle <folder>', 'bundle folder whose manifest is written', DEFAULT_BUNDLE)
      .action(async (options: Options) => {
        const maps = await calibrateBundle(await open(options), options.bundle);
        process.stdout.write(options.json ? `${JSON.stringify(maps)}\n` : `calibrated ${options.bundle}\n`);
      }),
  );
  program.addCommand(
    common(new Command('ablate'))
      .description('The study of the recipe: each choice against its alternative, small, over three seeds.')
      .action(async (options: Options) => {
        const result = await ablate(await open(options), ABLATION);
        process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : ablationTable(result));
      }),
  );
  return program;
}

if (process.argv[1] === import.meta.filename) {
  try {
    await createRecipeCommand().parseAsync();
  } catch (error) {
    // A user's mistake is one line; a fault keeps its stack.
    if (!(error instanceof HarnessError)) throw error;
    say(`recipe: ${error.message}`);
    process.exitCode = 1;
  }
}
