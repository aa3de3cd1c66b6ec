/** `npm run bench -- NAME [--quick] [--json]`: the measurements behind every number of the README. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { HarnessError } from '../shared/problem.ts';
import { machine } from './machine.ts';
import { type Result, withPart } from './result.ts';
import { type Bench, table } from './row.ts';

const BENCHES: Record<string, () => Promise<Bench>> = {
  quality: async () => (await import('./quality.ts')).quality,
  'edge-student': async () => (await import('./edge-student.ts')).edgeStudent,
  edge: async () => (await import('./edge.ts')).edge,
  backend: async () => (await import('./backend.ts')).backend,
  experiments: async () => (await import('./experiments.ts')).experiments,
  relevance: async () => (await import('./relevance.ts')).relevance,
  recipe: async () => (await import('./recipe.ts')).recipe,
  system: async () => (await import('./system.ts')).system,
};

const program = new Command('npm run bench --')
  .description(
    'Measures, prints a table of {metric, value, unit, target, ok}, and without --quick writes bench/results/NAME-DATE.json.',
  )
  .argument('<name>', Object.keys(BENCHES).join(', '))
  .option('--quick', 'a smaller sample, within five minutes on two cores; nothing is written')
  .option(
    '--only <part>',
    "one part of a measurement that has several; its rows take the place of the day's, or are a file of their own",
  )
  .option('--json', 'print JSON')
  .parse();
const { quick = false, json = false, only } = program.opts<{ quick?: boolean; json?: boolean; only?: string }>();
const name = program.args[0]!;

/** What is in a result file; `undefined` where there is none. */
const stored = (file: string): Result | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result) : undefined;

/** Into the day's file; a part that cannot be put into that, into one of its own. */
function store(result: Result): void {
  const day = result.date.slice(0, 10);
  const fileOf = (name: string) => `bench/results/${name}-${day}.json`;
  const merge = only === undefined ? { result } : withPart(stored(fileOf(name)), result);
  const apart = 'refused' in merge;
  const file = fileOf(apart ? `${name}-${only}` : name);
  if (apart) console.error(`Written to ${file}, not to ${fileOf(name)}: ${merge.refused}.`);
  mkdirSync('bench/results', { recursive: true });
  writeFileSync(file, `${JSON.stringify(apart ? result : merge.result, null, 2)}\n`);
}

try {
  const load = BENCHES[name];
  if (load === undefined)
    throw new HarnessError('bad_request', `bench: expected one of ${Object.keys(BENCHES).join(', ')}, got ${name}.`);
  const bench = await load();
  if (only !== undefined && !bench.parts?.includes(only)) {
    const expected =
      bench.parts === undefined ? `nothing, because ${name} has no parts` : `one of ${bench.parts.join(', ')}`;
    throw new HarnessError('bad_request', `--only: expected ${expected}, got ${only}.`);
  }
  const outcome = await bench({ quick, only, say: (line) => console.error(line) });
  const result: Result = { bench: name, quick, date: new Date().toISOString(), machine: machine(), ...outcome };
  console.log(json ? JSON.stringify(result, null, 2) : table(outcome.rows));
  if (!quick) store(result);
  process.exit(outcome.rows.some(({ ok }) => ok === false) ? 1 : 0);
} catch (error) {
  exitWith(error);
}
