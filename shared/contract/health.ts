/** `GET /healthz` and `GET /readyz` of both sides; each side adds fields of its own. */
import * as z from 'zod';

export const Health = z.lazy(() =>
  z.looseObject({ status: z.enum(['ok', 'degraded']), version: z.string() }).meta({ id: 'Health' }),
);
export type Health = z.infer<typeof Health>;
