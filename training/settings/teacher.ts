/** What the configuration may say about the teacher. */
import { z } from 'zod';
import { ENDPOINT_DEFAULTS } from '../teacher/endpoint.ts';

/** Settings of an endpoint (teacher/endpoint.ts says what they mean and what they are where they are left out). */
const Endpoint = z.strictObject({
  url: z.string().min(1),
  model: z.string().min(1),
  dimensions: z.int().positive().optional(),
  encodingFormat: z.enum(['float', 'base64']).default(ENDPOINT_DEFAULTS.encodingFormat),
  apiKeyVariable: z.string().optional(),
  queryPrefix: z.string().default(ENDPOINT_DEFAULTS.queryPrefix),
  documentPrefix: z.string().default(ENDPOINT_DEFAULTS.documentPrefix),
  textsPerRequest: z.int().positive().default(ENDPOINT_DEFAULTS.textsPerRequest),
  bytesPerRequest: z.int().positive().default(ENDPOINT_DEFAULTS.bytesPerRequest),
  concurrency: z.int().positive().default(ENDPOINT_DEFAULTS.concurrency),
  retries: z.int().nonnegative().default(ENDPOINT_DEFAULTS.retries),
  backoffMs: z.int().positive().default(ENDPOINT_DEFAULTS.backoffMs),
  longestBackoffMs: z.int().positive().default(ENDPOINT_DEFAULTS.longestBackoffMs),
  attemptTimeoutMs: z.int().positive().default(ENDPOINT_DEFAULTS.attemptTimeoutMs),
  deadlineMs: z.int().positive().default(ENDPOINT_DEFAULTS.deadlineMs),
  license: z.string().default(ENDPOINT_DEFAULTS.license),
});

/** One of: a checkpoint that is fine-tuned here; an endpoint or vectors on disk, which are adapted. */
const TeacherFrom = z.union([
  z.string().min(1),
  z.strictObject({ endpoint: Endpoint }),
  z.strictObject({ vectors: z.string().min(1) }),
]);

/** `teacher` of the configuration. */
export const TeacherSettings = z.strictObject({
  from: TeacherFrom,
  context: z.boolean(),
  /** Width of the space, where the vectors of a teacher that is not trained itself are projected; its own where absent. */
  dimension: z.int().positive().optional(),
});
