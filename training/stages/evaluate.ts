/** Evaluation as a stage: a published bundle measured again, against the teacher it was made from. */
import { requireSameSpace } from '../../shared/bundle.ts';
import type { RecipeContext } from '../context.ts';
import { evaluate } from '../evaluate/evaluate.ts';
import type { EvaluationReport } from '../evaluate/report.ts';
import { readBundle, spaceOf } from '../publish.ts';
import { teach } from './teach.ts';

export async function evaluateBundle(context: RecipeContext, folder: string): Promise<EvaluationReport> {
  const { config, dataset, say } = context;
  const { manifest, candidate, report: published } = await readBundle(folder);
  const taught = await teach(context);
  requireSameSpace(
    { what: `bundle ${manifest.name}`, spaceId: manifest.spaceId },
    { what: `teacher ${taught.teacher.name}`, spaceId: await spaceOf(taught) },
  );
  const { report } = await evaluate({
    candidate,
    teacher: taught.teacher,
    teacherReadsContext: config.teacher.context,
    ...(taught.checkpoint ? { local: taught.checkpoint } : {}),
    published,
    dataset,
    settings: config.evaluate,
    seed: config.seed,
    threads: config.threads,
    onStage: say,
  });
  return report;
}
