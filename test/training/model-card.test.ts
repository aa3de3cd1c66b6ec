/** The model card: every number in it is one of the report's or the manifest's; what a report lacks is left out. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Manifest, parseManifest } from '../../shared/bundle.ts';
import { modelCard } from '../../training/model-card.ts';

const read = (file: string) => readFileSync(`models/default/${file}`, 'utf8');
const real: Manifest = parseManifest(read('manifest.json'), 'models/default');
/** The published manifest, with names and settings that no new bundle changes. */
const published: Manifest = {
  ...real,
  license: 'apache-2.0',
  teacher: { ...real.teacher, name: 'all-MiniLM-L6-v2' },
  provenance: { ...real.provenance, config: { align: { steps: 1_500, batch: 256, learningRate: 5e-4 } } },
};
const scores = (base: number) => ({
  p10: base,
  p100: base / 7,
  ndcg10: base * 0.97,
  mrr: base * 1.11,
  recall100: base * 1.03,
});
const ratios = (base: number) => ({
  ...scores(base),
  interval: Object.fromEntries(
    Object.entries(scores(base)).map(([metric, value]) => [metric, [value - 0.01234, value + 0.01357]]),
  ),
});
/** A report that says all a report can say; no two of its numbers look alike. */
const whole = {
  split: 'test',
  queries: 4128,
  queriesWithContext: 3817,
  recovery: { denominator: 'the teacher with its context', ...ratios(0.98112) },
  recoveryBare: { denominator: 'the teacher on the bare query', ...ratios(1.24871) },
  teacher: scores(0.7713),
  teacherBare: scores(0.60447),
  student: scores(0.7589),
  floors: { bm25: { ...scores(0.57123), difference: ratios(0.18) }, static: scores(0.40219) },
  slices: {
    slice: {
      extrapolation: {
        queries: 1021,
        systems: { teacher: scores(0.62991), student: scores(0.61477) },
        recovery: ratios(0.97623),
      },
    },
  },
  outOfDomain: {
    queries: 2345,
    pool: 1987,
    teacher: { accuracy1: 0.3217, mrr10: 0.4339 },
    student: { accuracy1: 0.2561, mrr10: 0.3478 },
    kept: { accuracy1: 0.7961, mrr10: 0.8016 },
  },
  speed: {
    teacher: { p50Ms: 13.0334, p99Ms: 16.6793, queriesPerSecond: 159.7 },
    student: { p50Ms: 0.45024, p99Ms: 1.24565, queriesPerSecond: 3638.5 },
    latencyRatio: 28.9474,
    throughputRatio: 22.7833,
    note: 'in turn, on one machine',
  },
  training: {
    losses: {
      align: [
        { step: 100, loss: 0.5 },
        { step: 1500, loss: 0.032783 },
      ],
    },
  },
};

function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(numbersOf) : [];
}

/** Text that the sources hold, such as names and notes, longest first. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(textsOf) : [];
}

/** Terms that hold digits and state no measurement. */
const TERMS =
  /P@10+|nDCG@10|recall@100|MRR@10|accuracy@1|p50|p99|fp16|int8|fp32|bm25|arXiv 2605\.23572|SHA-256|95 % intervals|`[^`]*`/gi;

/** Numbers of the card that are none of the sources', as shares, percentages, or millions. */
function strangers(card: string, sources: readonly unknown[]): string[] {
  const known = sources.flatMap(numbersOf).flatMap((x) => [x, 100 * x, x / 1e6]);
  const texts = textsOf(sources).sort((a, b) => b.length - a.length);
  const text = texts.reduce((rest, name) => rest.replaceAll(name, ''), card).replace(TERMS, '');
  return [...text.matchAll(/-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?/g)]
    .map(([shown]) => shown)
    .filter((shown) => {
      const plain = shown.replaceAll(',', '');
      const decimals = plain.split('.')[1]?.length ?? 0;
      // Small whole numbers are counts and must be there as such.
      const close = (x: number) => decimals > 0 || Number.isInteger(x) || Math.abs(x) >= 100;
      return !known.some((x) => String(x) === plain || (close(x) && x.toFixed(decimals) === plain));
    });
}

describe('the model card', () => {
  it('says no number that is not in the report or the manifest', () => {
    const manifest: Manifest = {
      ...published,
      studentFp16: { file: 'student.fp16.onnx', sha256: 'a'.repeat(64), bytes: 37_812_345 },
    };
    const card = modelCard({ manifest, report: whole });
    expect(strangers(card, [whole, manifest])).toEqual([]);
    // The check itself sees a number that changed.
    expect(strangers(card.replace('28.9', '29.9'), [whole, manifest])).toEqual(['29.9']);
  });

  it('tells the whole of a whole report', () => {
    const card = modelCard({ manifest: published, report: whole });
    for (const said of [
      'license: "apache-2.0"',
      'base_model: "all-MiniLM-L6-v2"',
      '| floor: bm25 | 0.571 |',
      '| teacher, bare query | 0.604 |',
      '| **this model** | 0.759 |',
      'against the teacher with its context: P@10 98.1 % (96.9 % to 99.5 %)',
      'against the teacher on the bare query: P@10 124.9 %',
      '| slice: extrapolation | 1,021 | 0.630 | 0.615 | 97.6 % |',
      '2,345 glosses, 1,987 words',
      '| accuracy@1 | 0.322 | 0.256 | 79.6 % |',
      '28.9 times lower latency at the median, 22.8 times the throughput',
      '| align | 1,500 | 256 | 0.0005 | 0.033 |',
      'it keeps 97.6 % of the teacher',
    ])
      expect(card).toContain(said);
  });

  it('leaves out what a report does not say', () => {
    const { recovery, teacher, student, queries } = whole;
    const card = modelCard({ manifest: published, report: { recovery, teacher, student, queries } });
    for (const absent of [
      'bare',
      'Slices',
      'Out of domain',
      'Speed',
      'floor',
      'undefined',
      'NaN',
      'concepts that no training',
    ])
      expect(card).not.toContain(absent);
  });

  it('reads what is published', () => {
    const report: unknown = JSON.parse(read('report.json'));
    expect(strangers(modelCard({ manifest: real, report }), [report, real])).toEqual([]);
  });

  it.each([
    ['a checkpoint', 'small-encoder', 'finetune', 'adapt'],
    ['vectors', { vectors: 'folder' }, 'adapt', 'finetune'],
  ])('shows the phase 1 that %s had, and no phase that did not run', (_, from, first, other) => {
    const [finetune, adapt] = [
      { steps: 161, batch: 128, learningRate: 1e-4 },
      { steps: 1_001, batch: 256, learningRate: 1e-3 },
    ];
    const config = { teacher: { from, context: true }, finetune, adapt, refine: { ...adapt, steps: 0 } };
    const manifest = { ...published, provenance: { ...published.provenance, config } };
    const losses = { teach: [{ step: 161, loss: 1.23456 }] };
    const card = modelCard({ manifest, report: { ...whole, training: { losses } } });
    expect(card).toMatch(new RegExp(`\\| ${first} .* \\| 1\\.235 \\|`));
    expect(card).not.toContain(`| ${other} |`);
    expect(card).not.toContain('| refine |');
  });
});
