/** `npm run report`: an experiment's report in the terminal, from the running backend. */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { DetailedReport } from '../shared/contract/report-detail.ts';
import { DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { HarnessError, Problem, parse } from '../shared/problem.ts';
import { ENVIRONMENT } from './environment.ts';
import { reportTable } from './report-table.ts';
import { serviceUrl } from './service-url.ts';

interface CommandOptions {
  experiment: string;
  backend: string;
  json?: boolean;
  html?: string;
}

/** Text at a path of the backend; throws its problem, or `backend_unavailable` when nobody answers, or another program. */
async function get(url: URL): Promise<string> {
  const answer = await fetch(url).catch((cause: unknown) => {
    throw new HarnessError(
      'backend_unavailable',
      `No backend answers at ${url.origin}; start the system with npm start.`,
      { cause },
    );
  });
  if (answer.ok) return answer.text();
  const problem = Problem.safeParse(await answer.json().catch(() => undefined));
  throw problem.success
    ? new HarnessError(problem.data.code, problem.data.detail)
    : another(url, `status ${answer.status}`);
}

const another = ({ pathname, origin }: URL, got: string) =>
  new HarnessError('backend_unavailable', `GET ${pathname}: expected the backend at ${origin}, got ${got}.`);

function readReport(url: URL, text: string): DetailedReport {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw another(url, 'no JSON');
  }
  return parse(DetailedReport, value, `GET ${url.pathname}`);
}

async function run({ experiment, backend, json, html }: CommandOptions): Promise<void> {
  const key = encodeURIComponent(experiment);
  const at = (path: string) => new URL(path, serviceUrl('--backend', backend));
  const url = at(`/v1/experiments/${key}/report`);
  const text = await get(url);
  const report = readReport(url, text);
  if (html !== undefined) {
    const page = await get(at(`/dashboard?experiment=${key}&alone=1`));
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
  else if (html === undefined) console.log(reportTable(report));
}

const program = new Command('npm run report --')
  .description('Read an A/B test: verdict, arms side by side, differences with intervals, guardrails, trust checks.')
  .option('--experiment <key>', 'which one', DEFAULT_EXPERIMENT)
  .option('--backend <url>', 'base URL of the backend', ENVIRONMENT.backendUrl)
  .option('--json', 'print the report as JSON')
  .option('--html <file>', 'write the report as a page that needs nothing else, to share')
  .allowExcessArguments(false)
  .parse();

try {
  await run(program.opts<CommandOptions>());
} catch (error) {
  exitWith(error);
}
