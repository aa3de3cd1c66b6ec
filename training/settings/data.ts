/** What the configuration may say about the data; data/mapping.ts and data/dataset.ts say what each setting means. */
import { z } from 'zod';
import type { DatasetSettings } from '../data/dataset.ts';
import { PRESETS } from '../data/presets/presets.ts';
import { FILES } from '../data/records.ts';
import { share } from './optimizer.ts';

const Scalar = z.union([z.string(), z.number(), z.boolean()]);
const Column = z.union([
  z.string(),
  z.strictObject({ constant: z.unknown() }),
  z.strictObject({
    column: z.union([z.string(), z.array(z.string()).min(1)]),
    default: z.unknown().optional(),
    values: z.record(z.string(), z.unknown()).optional(),
    plain: z.boolean().optional(),
    maxLength: z.int().positive().optional(),
  }),
]);
const Source = z.strictObject({
  files: z.union([z.string(), z.array(z.string()).min(1)]),
  format: z.enum(['jsonl', 'parquet', 'csv', 'tsv']).optional(),
  columns: z.record(z.string(), Column).optional(),
  where: z.record(z.string(), z.union([Scalar, z.array(Scalar)])).optional(),
  share: z.strictObject({ of: z.string(), from: share, to: share }).optional(),
  distinct: z.string().optional(),
});

const records = Object.keys(FILES).map((file) => file.slice(0, -'.jsonl'.length));

/** `data` of the configuration. */
export const Data = z.strictObject({
  folder: z.string().min(1),
  preset: z.enum(Object.keys(PRESETS) as (keyof typeof PRESETS)[]).optional(),
  sources: z.partialRecord(z.enum(records), Source).optional(),
  maxBadShare: share,
  generalShare: z.number().min(0).max(0.95),
  parts: z.int().positive(),
});

/** The dataset that the settings describe. */
export const datasetSettings = ({ folder, preset, sources }: z.infer<typeof Data>): DatasetSettings => ({
  folder,
  preset,
  sources: sources as DatasetSettings['sources'],
});
