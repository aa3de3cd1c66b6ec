/** `npm run bench -- NAME [--quick] [--json]`: the measurements behind every number of the README. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { exitWith } from '../scripts/service.ts';
import { HarnessError } from '../shared/problem.ts';
import { machine } from './machine.ts';
import { type Bench, type Row, table } from './row.ts';

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
  .option('--only <part>', "one part of a measurement that has several; its rows take the place of the day's")
  .option('--json', 'print JSON')
  .parse();
const { quick = false, json = false, only } = program.opts<{ quick?: boolean; json?: boolean; only?: string }>();
const name = program.args[0]!;

/** The day's results with a part measured again; nothing where the whole was not measured that day. */
function withPart({ rows, date }: { rows: Row[]; date: string }, file: string): object | undefined {
  if (!existsSync(file)) return undefined;
  const whole = JSON.parse(readFileSync(file, 'utf8')) as { rows: Row[] };
  const again = new Map(rows.map((row) => [row.metric, row]));
  const kept = whole.rows.map((row) => again.get(row.metric) ?? row);
  const known = new Set(whole.rows.map(({ metric }) => metric));
  return { ...whole, date, rows: [...kept, ...rows.filter(({ metric }) => !known.has(metric))] };
}

try {
  const load = BENCHES[name];
  if (load === undefined)
    throw new HarnessError('bad_request', `bench: expected one of ${Object.keys(BENCHES).join(', ')}, got ${name}.`);
  const outcome = await (await load())({ quick, only, say: (line) => console.error(line) });
  const result = { bench: name, quick, date: new Date().toISOString(), machine: machine(), ...outcome };
  console.log(json ? JSON.stringify(result, null, 2) : table(outcome.rows));
  const file = `bench/results/${name}-${result.date.slice(0, 10)}.json`;
  if (!quick) {
    mkdirSync('bench/results', { recursive: true });
    const whole = only === undefined ? result : withPart(result, file);
    if (whole !== undefined) writeFileSync(file, `${JSON.stringify(whole, null, 2)}\n`);
  }
  process.exit(outcome.rows.some(({ ok }) => ok === false) ? 1 : 0);
} catch (error) {
  exitWith(error);
}
