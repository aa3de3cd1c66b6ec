/** `npm run report`: an experiment's report in the terminal, from the running backend. */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { DetailedReport } from '../shared/contract/report-detail.ts';
import { DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { HarnessError, Problem } from '../shared/problem.ts';
import { reportTable } from './report-table.ts';
import { exitWith } from './service.ts';
import { serviceUrl } from './service-url.ts';

interface CommandOptions {
  experiment: string;
  backend: string;
  json?: boolean;
  html?: string;
}

/** GETs a path of the backend; throws its problem, or `backend_unavailable` when nobody answers. */
async function get(base: string, path: string): Promise<Response> {
  const url = new URL(path, serviceUrl('--backend', base));
  const answer = await fetch(url).catch((cause: unknown) => {
    throw new HarnessError(
      'backend_unavailable',
      `No backend answers at ${url.origin}; start the system with npm start.`,
      { cause },
    );
  });
  if (answer.ok) return answer;
  const problem = Problem.safeParse(await answer.json().catch(() => undefined));
  throw problem.success
    ? new HarnessError(problem.data.code, problem.data.detail)
    : new HarnessError('backend_unavailable', `${url.href}: expected a report, got status ${answer.status}.`);
}

async function run({ experiment, backend, json, html }: CommandOptions): Promise<void> {
  const key = encodeURIComponent(experiment);
  const text = await (await get(backend, `/v1/experiments/${key}/report`)).text();
  if (html !== undefined) {
    const page = await (await get(backend, `/dashboard?experiment=${key}&alone=1`)).text();
    try {
      writeFileSync(html, page);
    } catch (cause) {
      throw new HarnessError('configuration', `--html: ${html} cannot be written (${(cause as Error).message}).`, {
        cause,
      });
    }
    console.error(`Written to ${html}.`);
  }
  if (json) console.log(text);
  else if (html === undefined) console.log(reportTable(DetailedReport.parse(JSON.parse(text))));
}

const program = new Command('npm run report --')
  .description('Read an A/B test: verdict, arms side by side, differences with intervals, guardrails, trust checks.')
  .option('--experiment <key>', 'which one', DEFAULT_EXPERIMENT)
  .option('--backend <url>', 'base URL of the backend', process.env.BACKEND_URL ?? 'http://127.0.0.1:8788')
  .option('--json', 'print the report as JSON')
  .option('--html <file>', 'write the report as a page that needs nothing else, to share')
  .allowExcessArguments(false)
  .parse();

try {
  await run(program.opts<CommandOptions>());
} catch (error) {
  exitWith(error);
}
