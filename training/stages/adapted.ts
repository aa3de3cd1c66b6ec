/** Phase 1 as a stage, for a teacher that is not trained itself: projected to the space's width where that differs, and adapted to clicks. */
import type { Ad } from '../../shared/contract/ads.ts';
import { type RecipeContext, runFolder } from '../context.ts';
import type { ClickedQuery } from '../data/pairs.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { adapt } from '../phases/adapt.ts';
import { teacherInput } from '../teacher/input.ts';
import { type LinearMap, mapDigest, mapped } from '../teacher/linear-map.ts';
import { fitProjection } from '../teacher/projection.ts';
import type { Teacher } from '../teacher/teacher.ts';
import { catalogueVectors } from './catalogue.ts';
import { clickedPairs, clickFiles } from './clicks.ts';
import { followTraining } from './follow.ts';
import { hardNegatives, queryVectors } from './negatives.ts';
import type { Taught } from './teach.ts';

/** Rows that the projection is fitted on, of queries and of ads, at most. */
const SAMPLE = 20_000;

/** Goes on where an earlier run with the same data, teacher and settings stopped. */
export async function adapted(context: RecipeContext, teacher: Teacher): Promise<Taught> {
  const { config, dataset } = context;
  const { seed, threads, adapt: settings } = config;
  const width = config.teacher.dimension ?? teacher.dimension;
  if (settings.steps === 0 && width === teacher.dimension) return { teacher, projection: 'none', losses: [] };

  const catalogue = await catalogueVectors(context, teacher);
  const { ads, vectors: documents } = catalogue;
  const clicked = await drawnQueries(context, {
    ads,
    count: Math.max(SAMPLE, settings.steps * settings.batch * settings.accumulate),
  });
  const queries = await queryVectors(context, { teacher, inputs: clicked.map(teacherInput) });

  const sampled = (vectors: Float32Array) => vectors.subarray(0, SAMPLE * teacher.dimension);
  const both = new Float32Array(sampled(queries).length + sampled(documents).length);
  both.set(sampled(queries));
  both.set(sampled(documents), sampled(queries).length);
  const projection =
    width === teacher.dimension
      ? undefined
      : (await fitProjection(both, { from: teacher.dimension, to: width, threads })).map;
  const taught = async (map: LinearMap, losses: Taught['losses']): Promise<Taught> => ({
    teacher: await mapped(teacher, map, { threads }),
    projection: await mapDigest(map),
    losses,
  });
  if (settings.steps === 0) return taught(projection!, []);

  const { dimension } = teacher;
  const negatives = await hardNegatives(context, { queries: clicked, vectors: queries, catalogue, dimension });
  const folder = await runFolder({
    phase: 'adapt',
    teacher: teacher.sha256,
    data: await dataset.digest(clickFiles(context)),
    context: config.teacher.context,
    width,
    seed,
    settings: JSON.stringify(settings),
  });
  const { onStep, stop } = followTraining('adapt', settings.steps);
  const { map, losses } = await adapt({
    clicked,
    queries,
    documents,
    from: teacher.dimension,
    negatives,
    projection,
    settings,
    seed,
    folder,
    threads,
    onStep,
  });
  stop();
  return taught(map, losses);
}

/** Clicked queries drawn over all parts, `count` at most. */
async function drawnQueries(
  context: RecipeContext,
  { ads, count }: { ads: readonly Ad[]; count: number },
): Promise<ClickedQuery[]> {
  const { parts } = await clickedPairs(context, ads);
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const drawn: ClickedQuery[] = [];
  for (const part of parts) {
    const random = seeded(context.config.seed, 'adapt', part.index);
    const share = Math.ceil((part.rows / rows) * count);
    drawn.push(...shuffle(await part.read(), random).slice(0, share));
  }
  return drawn;
}
