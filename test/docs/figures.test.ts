/** What guides say was measured against what was: tables of the README, the guide of training and the model card are those of the results. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Ablation, ablationTable } from '../../training/ablate/ablate.ts';
import { evaluationTable } from '../../training/evaluate/table.ts';
import { modelCard } from '../../training/model-card.ts';

// biome-ignore lint/suspicious/noExplicitAny: results are JSON of many shapes
const json = (file: string): any => JSON.parse(readFileSync(file, 'utf8'));
/** The newest result of a measurement. */
const result = (name: string) => json(globSync(`bench/results/${name}-????-??-??.json`).toSorted().at(-1)!);

const readme = readFileSync('README.md', 'utf8');
const guide = readFileSync('docs/recipe.md', 'utf8');
const scale = readFileSync('docs/scale.md', 'utf8');
/** The README's rows by their first cells. A bar in a cell is escaped. */
const ROWS = new Map(
  [...readme.matchAll(/^\| (.*) \|$/gm)].map(([, line]) => {
    const [first, ...cells] = line!.split(/(?<!\\)\|/).map((cell) => cell.trim().replace('\\|', '|'));
    return [first!, cells];
  }),
);

/** Rows of a result by name. */
function measured(name: string): (metric: string) => { value: number; unit: string } {
  const { rows } = result(name) as { rows: { metric: string; value: number; unit: string }[] };
  return (metric) => {
    const row = rows.find((each) => each.metric === metric);
    if (row === undefined) throw new Error(`${name}: expected a row ${metric}, found none`);
    return row;
  };
}

const REPORT = 'models/default/report.json';

it('the guide of training prints the evaluation of the default bundle', () => {
  expect(guide.includes(evaluationTable(json(REPORT)).trim())).toBe(true);
});

it('the guide of training prints the study', () => {
  expect(guide).toContain(ablationTable(result('recipe').detail.study as Ablation).trim());
});

it("the model card is that of the default bundle's report", () => {
  const card = modelCard({ manifest: json('models/default/manifest.json'), report: json(REPORT) });
  expect(card.trim()).toBe(readFileSync('models/default/README.md', 'utf8').trim());
});

describe('README', () => {
  const quality = measured('quality');
  const FOUND = {
    BM25: 'BM25',
    'teacher, bare query': 'teacher, bare',
    'teacher, with context': 'teacher',
    'student, bare query': 'student',
    'student and BM25': 'ensemble',
  };
  it.each(Object.entries(FOUND))('what is found: %s', (label, system) => {
    const expected = ['interpolation', 'extrapolation'].flatMap((slice) =>
      ['p10', 'ndcg10'].map((metric) => quality(`${metric} ${slice} ${system}`).value.toFixed(3)),
    );
    expect(ROWS.get(label)).toEqual(expected);
  });

  it('words that no ad has', () => {
    const { ten } = result('quality').detail as {
      ten: { query: string; control: string | null; treatment: string | null; treatmentGrade: number }[];
    };
    for (const { query, control, treatment, treatmentGrade } of ten)
      expect(ROWS.get(query)).toEqual([control ?? 'no ad', treatment ?? 'no ad', treatmentGrade >= 2 ? 'yes' : 'no']);
  });

  const EARNED = [
    ...['Clicks per unit', 'Clicks per ad shown (CTR)', 'Revenue per unit', 'Revenue per 1,000 queries'],
    ...['Ads shown per unit', 'Queries with an ad', 'Conversions per unit'],
  ];
  const system = measured('system');
  it.each(EARNED)('what it earns: %s', (title) => {
    const { value, unit } = system(`treatment uplift, ${title}`);
    expect(ROWS.get(title)).toEqual([`${value > 0 ? '+' : ''}${value.toFixed(1)} %`, unit.replace('% ', '')]);
  });

  it.each(['static', 'naive'])('what is found: the floor %s', (floor) => {
    const slices = json(REPORT).slices.slice;
    const expected = ['interpolation', 'extrapolation'].flatMap((slice) =>
      ['p10', 'ndcg10'].map((metric) => slices[slice].systems[floor][metric].toFixed(3)),
    );
    expect(ROWS.get(`floor: ${floor}`)).toEqual(expected);
  });

  const share = (of: number) => (100 * of).toFixed(1);
  it.each(['P@10, interpolation', 'nDCG@10, interpolation', 'P@10, extrapolation'])(
    'what the recipe keeps: %s',
    (label) => {
      const rows = result('recipe').rows as { metric: string; value: number; unit: string }[];
      const [metric, slice] = label.split(', ');
      const { value, unit } = rows.find(
        (row) => row.metric === `${slice}, ${metric}` && row.unit.includes('its real inputs, ['),
      )!;
      const [low, high] = unit
        .match(/\[(.*), (.*)\]/)!
        .slice(1)
        .map((bound) => share(Number(bound)));
      expect(ROWS.get(label)![0]).toBe(`${share(value)} % [${low}, ${high}] of the teacher's`);
    },
  );

  it('what the recipe keeps: all test queries', () => {
    const { p10, interval } = json(REPORT).recovery;
    const [low, high] = interval.p10.map(share);
    expect(ROWS.get('P@10, all test queries')![0]).toBe(`${share(p10)} % [${low}, ${high}] of the teacher's`);
  });

  it('says of each target whether it is met', () => {
    for (const [label, , bench, metric] of CELLS) {
      const { ok } = measured(bench)(metric) as { ok?: boolean };
      const met = ok === undefined ? '' : ok ? 'yes' : 'no';
      expect([label, ROWS.get(label)?.at(-1)]).toEqual([label, met]);
    }
  });

  /** What the second cell of a row begins with: `{1}` stands for the value of the metric, with one digit behind the point. */
  const CELLS: [label: string, cell: string, bench: string, metric: string][] = [
    ['latency, p50 at batch 1', '{1}x lower', 'recipe', 'latency, teacher / student'],
    ['throughput', '{1}x', 'recipe', 'throughput, student / teacher'],
    ['P@10 above a static student', '+{3}', 'recipe', 'student - static, P@10'],
    ['P@10 above a naive student', '+{3}', 'recipe', 'student - naive, P@10'],
    ["P@10 above the evaluation's BM25", '+{3}', 'recipe', 'student - bm25, P@10'],
    ['the same against the teacher on the bare query', '{1}x lower', 'recipe', 'latency, bare teacher / student'],
    ['throughput against the teacher on the bare query', '{1}x', 'recipe', 'throughput, student / bare teacher'],
    ["training step / PyTorch's, same cores", '{2}', 'recipe', 'training step / PyTorch, best variant'],
    [
      'hit rate of the memory tier, below the best fixed content',
      '{1} points',
      'edge',
      'hit rate below the best fixed content (static optimum)',
    ],
    ['bundle, minified, gzip', '{0} kB', 'edge', 'bundle, minified, gzip'],
    ['CPU of a memory hit over a bare text route', '{0} us', 'edge', 'CPU of a memory hit over the bare route'],
    ['requests a second, memory hits against a bare text route', '{0} %', 'edge', 'memory hit, of the bare route'],
    ['p99 of a memory hit at half of saturation', '{0} ms', 'edge', 'memory hit, p99 at half of saturation, open loop'],
    ['cold start', '{0} ms', 'edge', 'cold start: first answer of /v1/ads, over an empty Worker'],
    ["its bytes against the float32 vectors'", '{2} times', 'backend', '1000000 ads, ours: memory / float32 vectors'],
    ['recall lost after 50 % turnover', '{1} points', 'backend', '100000 ads: recall lost by 50 % turnover'],
    ['a new ad is found within', '{0} ms', 'backend', '100000 ads: a new ad until it is found, slowest of 200'],
    [
      'encoder: requests a second at p99 15 ms, against infinity-emb with the same graph',
      '{1} times',
      'backend',
      'encoder service / infinity-emb 0.0.77 at p99 <= 15 ms',
    ],
    ['encoder: p99 at 70 % of saturation', '{0} ms', 'backend', 'encoder service: p99 at 70 % of saturation'],
    [
      'p99 of a query end to end, 1,000,000 ads, at half of saturation',
      '{0} ms',
      'backend',
      '/v1/retrieve, 1000000 ads: p99 at half of it',
    ],
    [
      'guardrails called safe in 1,000 looks where the loss is their margin',
      '{1} %',
      'experiments',
      'guardrail called safe in 1000 looks, at its margin',
    ],
    [
      'guardrails called safe in them where nothing is lost',
      '{0} %',
      'experiments',
      'guardrail called safe in 1000 looks, without a loss',
    ],
    ['report over 10 million impressions', '{2} s', 'experiments', 'report over 10 M impressions, from rollups'],
    ['its effects and checks alone', '{1} s', 'experiments', 'its effects and checks alone'],
    [
      'its sums, against DuckDB over the raw rows',
      '{1} times',
      'experiments',
      'sums from rollups over DuckDB from raw rows',
    ],
  ];
  const growth = measured('backend-growth');
  const SIZES = [10_000, 100_000, 1_000_000];
  it('what a search costs as the catalogue grows', () => {
    const p50s = SIZES.map((ads) => growth(`${ads} ads: search, p50`).value.toFixed(2)).join(', ');
    const [step, , met] = ROWS.get(`p50 of a search of 10,000, 100,000, 1,000,000 ads: ${p50s} ms; step to step`) ?? [];
    const row = growth('p50: what the second tenfold adds / what the first one adds') as {
      value: number;
      ok?: boolean;
    };
    expect([step, met]).toEqual([`${row.value.toFixed(1)} times`, row.ok ? 'yes' : 'no']);
    const found = SIZES.map((ads) => (100 * growth(`${ads} ads: recall@100`).value).toFixed(1));
    expect(scale).toContain(`the same search finds ${found[0]}, ${found[1]} and ${found[2]} %`);
  });

  it('what an outage costs', () => {
    const outage = (what: string) => measured('edge-outage')(`backend killed for 60 s: ${what}`).value;
    const whole = ['answers of 200', 'head queries with ads'].map(outage);
    const wrong = ['events lost after recovery', 'events doubled after recovery'].map(outage);
    expect([whole, wrong]).toEqual([
      [100, 100],
      [0, 0],
    ]);
    const tail = outage('queries of the tail, each asked once, with ads').toFixed(1);
    expect(readme).toContain(
      `all answers 200, every head query and ${tail} % of the others with ads, no event lost or doubled`,
    );
  });

  it.each(CELLS)('%s', (label, cell, bench, metric) => {
    const { value } = measured(bench)(metric);
    const [shown = ''] = ROWS.get(label) ?? [];
    const expected = cell.replace(/\{(\d)\}/, (_, digits) => value.toFixed(Number(digits)));
    expect(shown.slice(0, expected.length)).toBe(expected);
  });
});
