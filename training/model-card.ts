/**
 * The model card of a bundle, Markdown with Hugging Face front matter, from its manifest and its report alone: no
 * number is written in this file. What a report does not say, the card does not say either. Format:
 * https://huggingface.co/docs/hub/model-cards
 */
import { z } from 'zod';
import type { Manifest } from '../shared/bundle.ts';
import { METRIC_NAMES, METRICS } from './evaluate/metrics.ts';

/** JSON knows no NaN: what could not be computed comes back as null. */
const Value = z.number().nullish();

const each = <T extends z.ZodType>(value: T) =>
  z.object({ p10: value, p100: value, ndcg10: value, mrr: value, recall100: value }).partial();
const Scores = each(Value);
const Ratios = Scores.extend({
  interval: each(z.tuple([Value, Value])).optional(),
  denominator: z.string().optional(),
});
const Loss = z.object({ step: z.number(), loss: z.number() });
const Speed = z.object({ p50Ms: z.number(), p99Ms: z.number(), queriesPerSecond: z.number() });
const Domain = z.object({ accuracy1: Value, mrr10: Value });

/** What the card reads of `report.json`. */
const CardReport = z.object({
  queries: z.number(),
  queriesWithContext: z.number().optional(),
  teacher: Scores,
  teacherBare: Scores.optional(),
  student: Scores,
  asTyped: Scores.extend({ recovery: Ratios }).optional(),
  recovery: Ratios,
  recoveryBare: Ratios.optional(),
  floors: z.record(z.string(), Scores.extend({ difference: Ratios.optional() })).optional(),
  slices: z
    .record(
      z.string(),
      z.record(
        z.string(),
        z.object({
          queries: z.number(),
          systems: z.object({ teacher: Scores.optional(), student: Scores.optional() }).optional(),
          recovery: Ratios.optional(),
        }),
      ),
    )
    .optional(),
  outOfDomain: z
    .object({ queries: z.number(), pool: z.number(), teacher: Domain, student: Domain, kept: Domain })
    .optional(),
  speed: z
    .object({
      teacher: Speed,
      student: Speed,
      latencyRatio: z.number(),
      throughputRatio: z.number(),
      note: z.string().optional(),
    })
    .optional(),
  training: z
    .object({ losses: z.record(z.string(), z.array(Loss)) })
    .partial()
    .optional(),
});
type CardReport = z.infer<typeof CardReport>;

/** A phase's settings in the manifest, where they are those of a training phase. */
const Phase = z.object({ steps: z.number(), batch: z.number(), learningRate: z.number() });
/** Settings of a teacher that is a checkpoint: its phase 1 is `finetune`, any other's `adapt`. */
const FromCheckpoint = z.object({ teacher: z.object({ from: z.string() }) });

const score = (value: number | null | undefined): string => value?.toFixed(3) ?? '–';
const percent = (share: number | null | undefined): string => (share == null ? '–' : `${(100 * share).toFixed(1)} %`);
const count = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 0 });
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const millions = (value: number): string => `${(value / 1e6).toFixed(1)} million`;

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n');

function frontMatter({ license, teacher, name }: Manifest, { student }: CardReport): string {
  const metrics = METRICS.flatMap((metric) => {
    const value = student[metric];
    return value == null ? [] : [`          - type: ${METRIC_NAMES[metric]}`, `            value: ${score(value)}`];
  });
  return [
    '---',
    `license: ${JSON.stringify(license)}`,
    `base_model: ${JSON.stringify(teacher.name)}`,
    'base_model_relation: finetune',
    'library_name: onnx',
    'pipeline_tag: feature-extraction',
    'tags: [sponsored-search, retrieval, query-encoder, distillation, onnx]',
    `metrics: [${Object.values(METRIC_NAMES)
      .map((title) => JSON.stringify(title))
      .join(', ')}]`,
    'model-index:',
    `  - name: ${JSON.stringify(name)}`,
    '    results:',
    '      - task: { type: text-retrieval }',
    '        dataset: { name: market test split, type: market }',
    '        metrics:',
    ...metrics,
    '---',
  ].join('\n');
}

function quality(report: CardReport): string {
  const { recovery, recoveryBare, floors = {} } = report;
  const systems: [string, z.infer<typeof Scores>][] = [
    ...Object.entries(floors).map(([name, scores]) => [`floor: ${name}`, scores] as [string, typeof scores]),
    ...(report.teacherBare
      ? ([['teacher, bare query', report.teacherBare]] as [string, typeof report.teacherBare][])
      : []),
    ['teacher', report.teacher],
    ['**this model**', report.student],
  ];
  const metrics = METRICS.filter((metric) => report.student[metric] != null);
  const kept = (ratios: z.infer<typeof Ratios>): string =>
    `- Recovery against ${ratios.denominator ?? 'the teacher'}: ${metrics
      .map((metric) => {
        const interval = ratios.interval?.[metric];
        return `${METRIC_NAMES[metric]} ${percent(ratios[metric])}${interval ? ` (${interval.map(percent).join(' to ')})` : ''}`;
      })
      .join(', ')}.`;
  const context = report.queriesWithContext;
  const typed = report.asTyped && {
    ...report.asTyped.recovery,
    denominator: 'the first, with queries left as they are typed',
  };
  return [
    `Measured on ${count(report.queries)} judged queries of the test split, with exact search over the teacher's vectors of the ads.` +
      (context ? ` The teacher reads offline context with ${count(context)} of them; this model never does.` : ''),
    table(
      ['', ...metrics.map((metric) => METRIC_NAMES[metric])],
      systems.map(([name, scores]) => [name, ...metrics.map((metric) => score(scores[metric]))]),
    ),
    'Recovery is this model divided by its teacher; in brackets, 95 % intervals by paired bootstrap over queries.',
    [recovery, recoveryBare, typed].flatMap((ratios) => (ratios ? [kept(ratios)] : [])).join('\n'),
  ].join('\n\n');
}

function slices({ slices: groups = {} }: CardReport): string[] {
  const rows = Object.entries(groups).flatMap(([group, parts]) =>
    Object.entries(parts).flatMap(([name, { queries, systems, recovery }]) =>
      systems?.student && recovery
        ? [
            [
              `${group}: ${name}`,
              count(queries),
              score(systems.teacher?.p10),
              score(systems.student.p10),
              percent(recovery.p10),
            ],
          ]
        : [],
    ),
  );
  return rows.length === 0
    ? []
    : ['### Slices, P@10', table(['', 'queries', 'teacher', 'this model', 'recovery'], rows)];
}

function outOfDomain({ outOfDomain: domain }: CardReport): string[] {
  if (!domain) return [];
  const { queries, pool, teacher, student, kept } = domain;
  return [
    '### Out of domain',
    `A dictionary's gloss asks for its word: ${count(queries)} glosses, ${count(pool)} words to choose from.`,
    table(
      ['', 'teacher', 'this model', 'kept'],
      [
        ['accuracy@1', score(teacher.accuracy1), score(student.accuracy1), percent(kept.accuracy1)],
        ['MRR@10', score(teacher.mrr10), score(student.mrr10), percent(kept.mrr10)],
      ],
    ),
  ];
}

function speed({ speed: measured }: CardReport): string[] {
  if (!measured) return [];
  const { teacher, student, latencyRatio, throughputRatio, note } = measured;
  const line = (name: string, { p50Ms, p99Ms, queriesPerSecond }: z.infer<typeof Speed>) => [
    name,
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    count(queriesPerSecond),
  ];
  return [
    '## Speed',
    table(['', 'p50, ms', 'p99, ms', 'queries/s'], [line('teacher', teacher), line('**this model**', student)]),
    `${latencyRatio.toFixed(1)} times lower latency at the median, ${throughputRatio.toFixed(1)} times the throughput of the teacher.${
      note ? ` Measured ${note}.` : ''
    }`,
  ];
}

function making({ provenance, teacher }: Manifest, { training }: CardReport): string {
  const [first, other] = FromCheckpoint.safeParse(provenance.config).success
    ? ['finetune', 'adapt']
    : ['adapt', 'finetune'];
  const { harden = [], ...config } = provenance.config as { refine?: object; harden?: readonly object[] };
  // Hardening says only what it does otherwise than refinement.
  const hardening = harden.map((otherwise, i) => [`harden ${i + 1}`, { ...config.refine, ...otherwise }] as const);
  const phases = [...Object.entries(config), ...hardening].flatMap(([name, settings]) => {
    const phase = Phase.safeParse(settings);
    if (!phase.success || phase.data.steps === 0 || name === other) return [];
    const { steps, batch, learningRate } = phase.data;
    const last = training?.losses?.[name === first ? 'teach' : name]?.at(-1);
    return [[name, count(steps), count(batch), String(learningRate), last ? score(last.loss) : '–']];
  });
  return [
    'By the recipe of HARNESS-LM (arXiv 2605.23572), whose phases here were:',
    ...(phases.length === 0 ? [] : [table(['phase', 'steps', 'batch', 'peak learning rate', 'last loss'], phases)]),
    `Teacher: ${teacher.name} (${teacher.license}; ${teacher.source}). Seed ${provenance.seed}. Data with SHA-256 \`${provenance.dataSha256}\`; all settings are in \`manifest.json\`.`,
  ].join('\n\n');
}

/** @param report The content of `report.json`. @throws ZodError where it is not an evaluation report. */
export function modelCard({ manifest, report: json }: { manifest: Manifest; report: unknown }): string {
  const report = CardReport.parse(json);
  const { student, tokenizer, spelling, newWords, studentFp16 } = manifest;
  const unseen = report.slices?.slice?.extrapolation?.recovery?.p10;
  const sections = [
    frontMatter(manifest, report),
    `# ${manifest.name}`,
    `A query encoder for sponsored search: ${student.layers} layers of width ${student.hidden}, ${millions(student.parameters)} parameters, ${student.precision}. It maps a search query to a vector of ${manifest.dimension} values in the space of its teacher, ${manifest.teacher.name}, so that ads which the teacher has embedded need not be embedded again.`,
    '## Files',
    [
      `- \`${student.file}\` (${student.precision}, ${megabytes(student.bytes)}): inputs \`input_ids\` and \`attention_mask\`, integers [batch, tokens]; output \`embedding\`, floats [batch, ${manifest.dimension}] of length one.`,
      ...(studentFp16
        ? [`- \`${studentFp16.file}\` (${megabytes(studentFp16.bytes)}): the same in half precision, for GPUs.`]
        : []),
      ...(spelling
        ? [
            `- \`${spelling.file}\` (${megabytes(spelling.bytes)}): words of the data; a word of a query that is none of them is read as the commonest at one edit from it.`,
          ]
        : []),
      ...(newWords
        ? [
            `- \`${newWords.file}\` (${megabytes(newWords.bytes)}): the terms of the training queries; a query with another word is ranked by a relevance map of its own, which trusts the ads' words more.`,
          ]
        : []),
      `- \`${tokenizer.file}\` (${megabytes(tokenizer.bytes)}), \`${manifest.ads.file}\` (the teacher's vectors of ${count(manifest.ads.count)} ads), \`manifest.json\`, \`${manifest.report.file}\`.`,
    ].join('\n'),
    '## How it was made',
    making(manifest, report),
    '## Quality',
    quality(report),
    ...slices(report),
    ...outOfDomain(report),
    ...speed(report),
    '## Limits',
    [
      `- Texts are cut after ${manifest.maxTokens} tokens and normalised by version ${manifest.normalizerVersion} of the project's query normaliser first.`,
      `- Vectors are comparable only within space \`${manifest.spaceId}\`.`,
      '- The judged queries come from one market; other catalogues and languages need their own evaluation.',
      ...(unseen == null
        ? []
        : [`- On concepts that no training query names it keeps ${percent(unseen)} of the teacher's P@10.`]),
    ].join('\n'),
  ];
  return `${sections.join('\n\n')}\n`;
}
