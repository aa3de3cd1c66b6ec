/** What the backend posts to the operator's webhook (`HARNESS_ALERT_WEBHOOK`), signed as docs/api.md has it. */
import * as z from 'zod';

export const Alert = z
  .object({
    /** The same in every delivery of one alert: delivery is at least once. */
    id: z.string(),
    raisedAt: z.string(),
    experiment: z.string(),
    version: z.int(),
    /** Key of the trust check or of the guardrail. */
    check: z.string(),
    title: z.string(),
    expected: z.string(),
    received: z.string(),
    /** What to do about it. */
    action: z.string(),
    /** Path of the report at the backend. */
    report: z.string(),
  })
  .meta({ id: 'Alert' });
export type Alert = z.infer<typeof Alert>;
