/** The recipe up to the student: teacher, alignment, refinement, floors, one after the other. */
import type { RecipeContext } from '../context.ts';
import type { TrainedFloor } from '../evaluate/report.ts';
import type { Floor } from '../floors/floor.ts';
import type { InitialStudent } from '../phases/student.ts';
import { type Aligned, alignStudent, type StartingStudent, startingStudent } from './align.ts';
import { type CatalogueVectors, catalogueVectors } from './catalogue.ts';
import { trainFloors } from './floors.ts';
import { type Refined, type RefinementInputs, refinementInputs, refineStudent } from './refine.ts';
import { type Taught, teach } from './teach.ts';
import { openValidation, type Validation } from './validate.ts';

export interface TrainedStudent {
  readonly taught: Taught;
  readonly initial: InitialStudent;
  readonly aligned: Aligned;
  readonly refined: Refined;
  readonly floors: Partial<Record<TrainedFloor, Floor>>;
}

/** What the student's phases work with. */
export interface Prepared {
  readonly taught: Taught;
  readonly initial: StartingStudent;
  readonly catalogue: CatalogueVectors;
  readonly validation: Validation | undefined;
}

/** Phase 1, and what comes before phase 2. Close `validation` in the end. */
export async function prepare(context: RecipeContext): Promise<Prepared> {
  const taught = await teach(context);
  const initial = await startingStudent(context, taught);
  const catalogue = await catalogueVectors(context, taught.teacher);
  const count = context.config.evaluate.curveQueries;
  const validation =
    count > 0 ? await openValidation(context, { catalogue, tokenizer: initial.tokenizer, count }) : undefined;
  return { taught, initial, catalogue, validation };
}

/** Phase 2. */
export const alignPrepared = (context: RecipeContext, { taught, initial, validation }: Prepared): Promise<Aligned> =>
  alignStudent(context, { taught, initial, measure: validation?.measure });

/** Phase 3. */
export async function refinePrepared(
  context: RecipeContext,
  { taught, initial, catalogue, validation, aligned }: Prepared & { aligned: Aligned },
): Promise<{ refined: Refined; inputs: RefinementInputs }> {
  const inputs = await refinementInputs(context, {
    catalogue,
    tokenizer: initial.tokenizer,
    teacher: taught.teacher,
    texts: aligned.texts,
  });
  return { refined: await refineStudent(context, { inputs, aligned, measure: validation?.measure }), inputs };
}

export async function trainStudent(context: RecipeContext): Promise<TrainedStudent> {
  const prepared = await prepare(context);
  const { taught, initial, validation } = prepared;
  const aligned = await alignPrepared(context, prepared);
  const { refined, inputs } = await refinePrepared(context, { ...prepared, aligned });
  const floors = await trainFloors(context, { taught, initial, aligned, inputs });
  await validation?.close();
  return { taught, initial, aligned, refined, floors };
}
