/**
 * The naive floor: asymmetric contrastive training and nothing else. The student goes straight to phase 3, without phase 2, against the
 * teacher's frozen ad vectors; HARNESS-LM (arXiv 2605.23572) finds it far below the whole recipe.
 *
 * Its state is kept in its folder: with the same options a finished run is read back, and a killed one continues.
 */
import { type RefineOptions, refine } from '../phases/refine.ts';
import { encoderOf, type Floor } from './floor.ts';

/** @param options As of phase 3, with the pruned student as no alignment has touched it, and a folder of its own. */
export async function trainNaiveStudent(options: RefineOptions): Promise<Floor> {
  const { student, losses } = await refine(options);
  return { model: student, losses: { refine: losses }, encode: encoderOf(student, options) };
}
