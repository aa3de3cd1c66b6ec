/** `POST /v1/model`: the bundle's folder is read again, and what it holds now is served. */
import * as z from 'zod';

export const ModelRequest = z.strictObject({ action: z.literal('reload') }).meta({ id: 'ModelRequest' });
export type ModelRequest = z.infer<typeof ModelRequest>;

export const ModelState = z
  .object({
    model: z.string(),
    spaceId: z.string(),
    studentSha256: z.string(),
    /** Where it runs, in what precision, and why not where it was to. */
    device: z.object({
      requested: z.string(),
      provider: z.string(),
      precision: z.string(),
      reason: z.string().optional(),
    }),
    /** False when the folder holds what was served before. */
    changed: z.boolean(),
  })
  .meta({ id: 'ModelState' });
export type ModelState = z.infer<typeof ModelState>;
