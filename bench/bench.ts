/** `npm run bench -- NAME [--quick] [--json]`: the measurements behind every number of the README. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { exitWith } from '../scripts/service.ts';
import { HarnessError } from '../shared/problem.ts';
import { machine } from './machine.ts';
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
  .option('--only <part>', 'one part of a measurement that has several; nothing is written')
  .option('--json', 'print JSON')
  .parse();
const { quick = false, json = false, only } = program.opts<{ quick?: boolean; json?: boolean; only?: string }>();
const name = program.args[0]!;

try {
  const load = BENCHES[name];
  if (load === undefined)
    throw new HarnessError('bad_request', `bench: expected one of ${Object.keys(BENCHES).join(', ')}, got ${name}.`);
  const outcome = await (await load())({ quick, only, say: (line) => console.error(line) });
  const result = { bench: name, quick, date: new Date().toISOString(), machine: machine(), ...outcome };
  console.log(json ? JSON.stringify(result, null, 2) : table(outcome.rows));
  if (!quick && only === undefined) {
    mkdirSync('bench/results', { recursive: true });
    writeFileSync(`bench/results/${name}-${result.date.slice(0, 10)}.json`, `${JSON.stringify(result, null, 2)}\n`);
  }
  process.exit(outcome.rows.some(({ ok }) => ok === false) ? 1 : 0);
} catch (error) {
  exitWith(error);
}
