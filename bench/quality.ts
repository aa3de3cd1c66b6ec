/**
 * What is found: BM25, teacher, student and their ensemble on the test split, through the real backend; and ten test
 * queries that share no word with any relevant ad, through the real edge in both arms.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBundle } from '../gpu-backend/encoder/bundle.ts';
import { createMarket, MARKET_SEED, type Market } from '../marketplace/market.ts';
import type { Query } from '../marketplace/queries.ts';
import { type System, startSystem } from '../scripts/system.ts';
import type { RetrieveResponse } from '../shared/contract/retrieve.ts';
import { terms } from '../shared/coverage.ts';
import { NORMALIZER_VERSION, normalize } from '../shared/text.ts';
import { type Visitor, visitorIn } from '../test/e2e/jar.ts';
import { freePort } from '../test/setup/free-port.ts';
import { type Judgements, type Metric, mean, measure } from '../training/evaluate/metrics.ts';
import { publishedMeasures } from '../training/evaluate/published-teacher.ts';
import { readBundle } from '../training/publish.ts';
import { type Bench, bounded, type Row } from './row.ts';

const BUNDLE = 'models/default';
/** Nothing is cut off: rankings are measured, not the threshold. */
const PLANS = {
  BM25: { retrievers: ['lexical'], k: 100, minRelevance: 0 },
  student: { retrievers: ['dense'], k: 100, minRelevance: 0 },
  ensemble: { retrievers: ['lexical', 'dense'], k: 100, minRelevance: 0 },
} as const;
type Slice = Query['slice'];
type Scores = Record<Metric, number>[];

/** Rankings of one plan, in the order of the queries. */
async function rank(
  system: System,
  queries: readonly Query[],
  plan: (typeof PLANS)[keyof typeof PLANS],
): Promise<string[][]> {
  const rankings: string[][] = new Array(queries.length);
  let next = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (next < queries.length) {
        const at = next++;
        const { normalized, market } = queries[at]!;
        const body = {
          query: normalized,
          normalizerVersion: NORMALIZER_VERSION,
          market,
          locale: 'en',
          plan,
          deadlineMs: 10_000,
        };
        const { candidates } = await system.backend<RetrieveResponse>('POST', '/v1/retrieve', body);
        rankings[at] = candidates.map(({ adId }) => adId);
      }
    }),
  );
  return rankings;
}

/** Test queries that share no term with any relevant ad, the most asked for first. */
function wordless(market: Market): Query[] {
  const words = new Map(
    market.ads.map((ad) => [
      ad.id,
      new Set(terms(normalize([ad.title, ad.description, ...ad.keywords.map(({ text }) => text)].join(' ')))),
    ]),
  );
  return market.queries.test
    .filter((query) => {
      const relevant = market.judge(query).filter(({ grade }) => grade >= 2);
      const asked = terms(query.normalized);
      return (
        relevant.length > 0 &&
        asked.length > 0 &&
        relevant.every(({ item }) => asked.every((term) => !words.get(item.ad.id)!.has(term)))
      );
    })
    .sort((a, b) => b.frequency - a.frequency || (a.id < b.id ? -1 : 1));
}

/** The ten synonyms (names that no advertiser uses) most asked for among them. */
export const tenSynonyms = (market: Market): Query[] =>
  wordless(market)
    .filter(({ kind }) => kind === 'synonym')
    .slice(0, 10);

/** Of the log's searches, each query as often as it is asked: the share that some queries are. */
function searchShare(market: Market, isOne: (query: Query) => boolean): number {
  const all = Object.values(market.queries).flat();
  const asked = (queries: readonly Query[]) => queries.reduce((sum, { frequency }) => sum + frequency, 0);
  return asked(all.filter(isOne)) / asked(all);
}

interface Example {
  query: string;
  control: string | null;
  treatment: string | null;
  /** Grade of slot 1: 2 and 3 are relevant. */
  controlGrade: number;
  treatmentGrade: number;
}

async function ask(who: Visitor, market: Market, query: Query): Promise<{ title: string | null; grade: number }> {
  const { slots } = await who.search(query.text, { market: query.market });
  const first = slots[0];
  return first === undefined
    ? { title: null, grade: 0 }
    : { title: first.title, grade: market.grade(query, first.adId) };
}

export const quality: Bench = async ({ quick, say }) => {
  const market = createMarket({ seed: MARKET_SEED });
  const dataDir = mkdtempSync(join(tmpdir(), 'harness-quality-'));
  const [edgePort, backendPort] = [await freePort(), await freePort()];
  const system = await startSystem({ dataDir, bundleDir: BUNDLE, edgePort, backendPort, say });
  try {
    const queries = quick ? market.queries.test.filter((_, i) => i % 8 === 0) : market.queries.test;
    const judgements: Judgements[] = queries.map(
      (query) => new Map(market.judge(query).map(({ item, grade }) => [item.ad.id, grade])),
    );
    const score = (rankings: string[][]): Scores => rankings.map((ranking, i) => measure(ranking, judgements[i]!));
    const systems: Record<string, Scores> = {};
    for (const [name, plan] of Object.entries(PLANS)) {
      say(`${name}: ${queries.length} queries ...`);
      systems[name] = score(await rank(system, queries, plan));
    }
    // The fine-tuned teacher is not in the bundle; its measures of the same queries are.
    const { teacherMeasures } = await readBundle(BUNDLE);
    const teacher = teacherMeasures && publishedMeasures(teacherMeasures, queries);
    if (teacher) Object.assign(systems, { 'teacher, bare': teacher.teacherBare, teacher: teacher.teacher });

    const rows: Row[] = [];
    for (const metric of ['p10', 'ndcg10'] as const) {
      for (const slice of ['interpolation', 'extrapolation', 'all'] satisfies (Slice | 'all')[]) {
        const isIn = (query: Query) => slice === 'all' || query.slice === slice;
        const of = (scores: Scores) => mean(scores.flatMap((s, i) => (isIn(queries[i]!) ? [s[metric]] : [])));
        for (const name of ['BM25', 'teacher, bare', 'teacher', 'student', 'ensemble']) {
          if (systems[name] !== undefined)
            rows.push({ metric: `${metric} ${slice} ${name}`, value: of(systems[name]), unit: 'mean' });
        }
        const bare = systems['teacher, bare'];
        if (bare !== undefined && metric === 'p10' && slice !== 'all') {
          const label = `student / teacher on the bare query, ${metric} ${slice}`;
          rows.push(bounded(label, of(systems.student!) / of(bare), 'ratio', ['>=', 0.95]));
        }
      }
    }

    const head = await (await loadBundle(BUNDLE)).readHeadQueries();
    rows.push(
      {
        metric: 'searches of the log answered with a vector of the teacher (head queries)',
        value: searchShare(market, ({ normalized }) => head.has(normalized)),
        unit: 'share',
      },
      {
        metric: 'searches of the log for concepts not in training (extrapolation)',
        value: searchShare(market, ({ slice }) => slice === 'extrapolation'),
        unit: 'share',
      },
    );

    say('queries without a shared word, through the edge ...');
    const visitors = {
      control: await visitorIn('control', system.edgeUrl),
      treatment: await visitorIn('treatment', system.edgeUrl),
    };
    const synonyms = new Set(tenSynonyms(market).map(({ id }) => id));
    const all = wordless(market);
    const examples: (Example & { id: string })[] = [];
    for (const query of quick ? all.filter(({ id }) => synonyms.has(id)) : all) {
      const control = await ask(visitors.control, market, query);
      const treatment = await ask(visitors.treatment, market, query);
      examples.push({
        id: query.id,
        query: query.text,
        control: control.title,
        treatment: treatment.title,
        controlGrade: control.grade,
        treatmentGrade: treatment.grade,
      });
    }
    const relevant = (list: Example[], arm: 'controlGrade' | 'treatmentGrade') =>
      list.filter((example) => example[arm] >= 2).length;
    const ten = examples.filter(({ id }) => synonyms.has(id));
    rows.push(
      bounded(
        'ten synonyms no ad contains: relevant ad in slot 1, treatment',
        relevant(ten, 'treatmentGrade'),
        'of 10',
        ['>=', 7],
      ),
      bounded('ten synonyms no ad contains: relevant ad in slot 1, control', relevant(ten, 'controlGrade'), 'of 10', [
        '<=',
        0,
      ]),
      { metric: 'test queries that share no word with a relevant ad', value: all.length, unit: 'queries' },
    );
    if (!quick) {
      const share = relevant(examples, 'treatmentGrade') / examples.length;
      rows.push({ metric: 'of these, relevant ad in slot 1, treatment', value: share, unit: 'share' });
    }
    return { rows, detail: { bundle: JSON.parse(readFileSync(join(BUNDLE, 'manifest.json'), 'utf8')).name, ten } };
  } finally {
    await system.stop();
    if (existsSync(dataDir)) rmSync(dataDir, { recursive: true, force: true });
  }
};
