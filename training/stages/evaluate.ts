/** Evaluation as a stage: a published bundle measured again, against the teacher that it was made from, or what it says of that teacher. */
import { requireSameSpace } from '../../shared/bundle.ts';
import type { RecipeContext } from '../context.ts';
import { type Candidate, type EvaluateOptions, evaluate, teacherData } from '../evaluate/evaluate.ts';
import { standIn } from '../evaluate/published-teacher.ts';
import type { EvaluationReport } from '../evaluate/report.ts';
import { int8Rows, readBundle, spaceOf } from '../publish.ts';
import { catalogueVectors } from './catalogue.ts';
import { isTaught, type Taught, teach } from './teach.ts';

type Reference = Pick<EvaluateOptions, 'teacher' | 'teacherReadsContext' | 'local'>;

/**
 * The teacher where it is at hand; else what the bundle says of it, where that was measured on this data; else the teacher all the same,
 * fetched or trained first. @throws HarnessError where that is not the one that the bundle was made from.
 */
async function referenceOf(
  context: RecipeContext,
  { manifest, teacherMeasures, tokenizerJson }: Awaited<ReturnType<typeof readBundle>>,
): Promise<Reference> {
  const { config, dataset, say } = context;
  const measured = teacherMeasures?.dataSha256 === (await teacherData(dataset)) ? teacherMeasures : undefined;
  const live = ({ teacher, checkpoint }: Taught): Reference => ({
    teacher,
    teacherReadsContext: config.teacher.context,
    ...(checkpoint ? { local: checkpoint } : {}),
  });
  if (!measured) {
    const taught = await teach(context);
    requireSameSpace(
      { what: `bundle ${manifest.name}`, spaceId: manifest.spaceId },
      { what: `teacher ${taught.teacher.name}`, spaceId: await spaceOf(taught) },
    );
    return live(taught);
  }
  if (await isTaught(context, manifest.teacher.sha256)) {
    const taught = await teach(context);
    if ((await spaceOf(taught)) === manifest.spaceId) return live(taught);
    await taught.teacher.close();
  }
  say(`teacher ${manifest.teacher.name} is not here: compared with its measures in the bundle's teacher.json`);
  const local = standIn(measured, tokenizerJson);
  return { teacher: measured, teacherReadsContext: measured.readsContext, ...(local ? { local } : {}) };
}

/** Where ads came or went since the bundle was published, those of the data are searched, by the teacher's vectors: in service it is so too. */
async function overTheData(context: RecipeContext, candidate: Candidate, { teacher }: Reference): Promise<Candidate> {
  const ids = (await context.dataset.all('catalogue.jsonl')).map(({ id }) => id);
  const unknown = new Set(ids).symmetricDifference(new Set(candidate.adIds)).size;
  // A teacher that is only told of was measured over the same catalogue.
  if (unknown === 0 || !('encode' in teacher)) return candidate;
  context.say(`${unknown} ads came or went since the bundle was published: those of the data are searched`);
  const { vectors } = await catalogueVectors(context, teacher);
  return { ...candidate, adIds: ids, vectors: int8Rows(vectors, candidate.dimension) };
}

export async function evaluateBundle(context: RecipeContext, folder: string): Promise<EvaluationReport> {
  const { config, dataset, say } = context;
  const bundle = await readBundle(folder);
  const reference = await referenceOf(context, bundle);
  const { report } = await evaluate({
    ...reference,
    candidate: await overTheData(context, bundle.candidate, reference),
    published: bundle.report,
    dataset,
    settings: config.evaluate,
    seed: config.seed,
    threads: config.threads,
    onStage: say,
  });
  return report;
}
