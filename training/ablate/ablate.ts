/** The whole study, and how it is shown. */
import type { RecipeContext } from '../context.ts';
import { openCheckpoint, teach } from '../stages/teach.ts';
import { ablateStudents } from './students.ts';
import { ablateTeachers } from './teachers.ts';
import { type AblationSettings, type Measured, type Ordering, orderings } from './variants.ts';

/** What the study found. */
export interface Ablation {
  readonly settings: AblationSettings;
  readonly measured: readonly Measured[];
  readonly orderings: readonly Ordering[];
}

/** Small enough for a quarter of an hour on two cores. */
export const ABLATION: AblationSettings = {
  seeds: [1, 2, 3],
  layers: 2,
  alignSteps: 60,
  refineSteps: 40,
  batch: 128,
  teacher: { steps: 8, batch: 64, ads: 3_000 },
  queries: 1_000,
};

/** Runs the study, or what is left of it. The teacher's side is left out where the teacher is not a checkpoint. */
export async function ablate(context: RecipeContext, settings: AblationSettings): Promise<Ablation> {
  const taught = await teach(context);
  const measured = await ablateStudents(context, { taught, settings });
  const { from } = context.config.teacher;
  if (typeof from === 'string') {
    const source = await openCheckpoint(from, context.say);
    measured.push(...(await ablateTeachers(context, { source, settings })));
  }
  return { settings, measured, orderings: orderings(measured, settings.seeds) };
}

/** The orderings, one a line. */
export function ablationTable({ orderings: found }: Ablation): string {
  const width = Math.max(...found.map(({ claim }) => claim.length));
  const cells = (first: number, second: number) => `${first.toFixed(4)}  ${second.toFixed(4)}`;
  const lines = found.map(({ claim, first, second, differences, outcome }) =>
    [
      claim.padEnd(width),
      cells(first, second),
      differences.map((d) => d.toFixed(4).padStart(8)).join(''),
      outcome,
    ].join('  '),
  );
  return `${'P@10 on validation queries'.padEnd(width)}   first  second  differences by seed\n${lines.join('\n')}\n`;
}
