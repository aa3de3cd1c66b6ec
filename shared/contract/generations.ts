/** Generations: immutable published indices, each over one catalogue snapshot in one embedding space. */
import * as z from 'zod';
import { nextPage, pageBehind } from './paging.ts';

export const Generation = z
  .object({
    /** Grows by one with every publication, a rollback included. */
    number: z.int().positive(),
    status: z.enum(['building', 'live', 'retired', 'failed']),
    spaceId: z.string(),
    model: z.string(),
    ads: z.int(),
    /** Recall@10 against exact search on sampled queries, as the gate measured it. */
    recall: z.number().nullable(),
    reason: z.string().nullable(),
    createdAt: z.string(),
    publishedAt: z.string().nullable(),
  })
  .meta({ id: 'Generation' });
export type Generation = z.infer<typeof Generation>;

/** `POST /v1/generations`: build from the catalogue as it is, or bring back an older one under a new number. */
export const GenerationRequest = z
  .discriminatedUnion('action', [
    z.strictObject({
      action: z.literal('build'),
      /** Publish though the catalogue has less than half of the ads that are served. */
      force: z.boolean().optional(),
    }),
    z.strictObject({ action: z.literal('rollback'), to: z.int().positive() }),
  ])
  .meta({ id: 'GenerationRequest' });
export type GenerationRequest = z.infer<typeof GenerationRequest>;
export const GenerationPage = pageBehind(z.coerce.number().int().nonnegative());
/** By number. */
export const GenerationList = z.object({ live: z.int().nullable(), generations: z.array(Generation) });
export const GenerationListPage = GenerationList.extend(nextPage(z.int())).meta({ id: 'GenerationList' });
