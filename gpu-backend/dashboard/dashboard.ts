/** `GET /dashboard`: reads what the page shows and answers with it, under a policy that lets nothing else load or run. */
import { createHash } from 'node:crypto';
import { DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';
import type { Database } from '../db/connect.ts';
import { recordSql } from '../db/recorded-sql.ts';
import { buildDetailedReport } from '../experiments/detailed-report.ts';
import { timeline } from '../experiments/timeline.ts';
import { listExperiments } from '../serving-config/experiment-store.ts';
import type { DashboardView } from './page.ts';
import { STYLE } from './style.ts';

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Shortest and longest time between two loads that `?refresh=SECONDS` may ask for. */
const REFRESH_SECONDS = [5, 3_600] as const;

/**
 * Answers with the page. `query.experiment` chooses; without it the default experiment, or else the first, is shown;
 * `query.alone` gives a page to share, from which nothing leads elsewhere. An unknown key gives the list with a notice and
 * status 404.
 */
export async function answerDashboard(db: Database, query: Record<string, string | undefined>): Promise<Response> {
  const known = await listExperiments(db);
  const key = query.experiment ?? (known.find((each) => each.key === DEFAULT_EXPERIMENT) ?? known[0])?.key;
  const found = known.some((each) => each.key === key);
  const refresh = Math.round(Number(query.refresh));
  const view: DashboardView = {
    experiments: known,
    alone: query.alone !== undefined,
    ...(Number.isFinite(refresh) && refresh > 0
      ? { refreshSeconds: Math.min(REFRESH_SECONDS[1], Math.max(REFRESH_SECONDS[0], refresh)) }
      : {}),
    ...(found ? { chosen: await chosen(db, key!) } : { notice: absent(query.experiment) }),
  };
  // Plot and its document take a third of a second to load: when the first page is asked for, not when the backend starts.
  const { renderDashboard } = await import('./page.ts');
  return new Response(await renderDashboard(view), {
    status: found || query.experiment === undefined ? 200 : 404,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    },
  });
}

const absent = (asked: string | undefined) =>
  asked === undefined
    ? 'There is no experiment yet: create one with PUT /v1/experiments/:key.'
    : `There is no experiment "${asked.slice(0, 100)}"; choose one above.`;

async function chosen(db: Database, key: string): Promise<NonNullable<DashboardView['chosen']>> {
  const report = await buildDetailedReport(db, key);
  if (report.from === null || report.to === null) return { report, timeline: undefined, trafficSql: [] };
  const arms = report.arms.map(({ arm }) => arm);
  const { db: recorded, statements } = recordSql(db);
  const span = { fromMs: Date.parse(report.from), toMs: Date.parse(report.to), arms };
  return { report, timeline: await timeline(recorded, key, span), trafficSql: statements };
}
