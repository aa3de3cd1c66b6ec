/** The teacher's side of the study: the same checkpoint fine-tuned with and without oracle context, under every seed. */
import type { RecipeContext } from '../context.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { judgedQueries } from '../evaluate/market.ts';
import { RELEVANT } from '../evaluate/metrics.ts';
import { teacherTexts } from '../evaluate/oracle.ts';
import { firstPage, scored } from '../evaluate/rank.ts';
import { openSearch } from '../evaluate/search.ts';
import { adTexts } from '../stages/catalogue.ts';
import { fineTuned } from '../stages/fine-tune.ts';
import type { SourceCheckpoint } from '../stages/teach.ts';
import type { AblationSettings, Measured } from './variants.ts';

/** Queries behind each number: relevant ads of more would fill the small catalogue. */
const QUERIES = 100;

/**
 * Measured on a part of the catalogue, the relevant ads of some validation queries and others drawn at random, since
 * every teacher has to embed all of it.
 */
export async function ablateTeachers(
  context: RecipeContext,
  { source, settings }: { source: SourceCheckpoint; settings: AblationSettings },
): Promise<Measured[]> {
  const { config, dataset, say } = context;
  const judged = (await judgedQueries(dataset, 'validation')).queries;
  const queries = shuffle([...judged], seeded('ablate teachers')).slice(0, QUERIES);
  const catalogue = await dataset.all('catalogue.jsonl');
  const wanted = new Set(
    queries.flatMap(({ judgements }) => [...judgements].filter(([, grade]) => grade >= RELEVANT).map(([id]) => id)),
  );
  const others = shuffle(
    catalogue.filter(({ id }) => !wanted.has(id)),
    seeded('ablate ads'),
  );
  const ads = [...catalogue.filter(({ id }) => wanted.has(id)), ...others].slice(
    0,
    Math.max(wanted.size, settings.teacher.ads),
  );

  const measured: Measured[] = [];
  for (const seed of settings.seeds) {
    for (const reads of [true, false]) {
      const { steps, batch } = settings.teacher;
      const { teacher } = await fineTuned(
        {
          ...context,
          config: {
            ...config,
            seed,
            teacher: { ...config.teacher, context: reads },
            finetune: { ...config.finetune, steps, batch, warmupSteps: Math.ceil(steps / 10) },
          },
        },
        source,
      );
      const vectors = await teacher.encode(adTexts(ads), { role: 'document' });
      const texts = teacherTexts(queries, { reads });
      const search = await openSearch(vectors, teacher.dimension);
      const asked = await teacher.encode(texts.real, { role: 'query' });
      const { p10, ndcg10 } = firstPage(await scored(search, asked, { ads, queries, k: 10 }));
      await search.close();
      await teacher.close();
      const variant = reads ? 'teacher with context' : 'teacher without context';
      say(`${variant}, seed ${seed}: P@10 ${p10.toFixed(4)} among ${ads.length} ads`);
      measured.push({ variant, seed, p10, ndcg10 });
    }
  }
  return measured;
}
