/** `npm run reconcile`: the ids that the edge issued in the last day against the rows stored; names those that are missing. */
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { Reconciliation } from '../shared/contract/reconciliation.ts';
import { parse } from '../shared/problem.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { backendClient } from './backend-client.ts';
import { ENVIRONMENT } from './environment.ts';
import { readKeys } from './keys.ts';
import { serviceUrl } from './service-url.ts';

interface CommandOptions {
  edge: string;
  data: string;
  json?: boolean;
}

/** One line a minute, newest last, then what is missing. */
export function reconciliationText({ minutes, missing, recent, waiting }: Reconciliation): string {
  const columns = (cells: (string | number)[]) => cells.map((cell) => String(cell).padStart(10)).join('');
  const time = (minute: string) => minute.slice(0, 16).replace('T', ' ');
  return [
    `${'minute (UTC)'.padEnd(16)}${columns(['issued', 'stored', 'missing'])}`,
    ...minutes.map(({ minute, issued, stored, missing }) => time(minute) + columns([issued, stored, missing])),
    '',
    `Issued in the last minutes, not looked for yet: ${recent}. Waiting in the outbox: ${waiting}.`,
    missing.length === 0 ? 'Nothing is missing.' : `Missing: ${missing.length}`,
    ...missing.map(({ id, minute, checks }) => `  ${id}  issued ${time(minute)}, looked for ${checks} times`),
  ].join('\n');
}

async function run({ edge, data, json }: CommandOptions): Promise<void> {
  const call = backendClient(serviceUrl('--edge', edge), parseKeyRing(readKeys(data)), 'edge');
  const found = parse(Reconciliation, await call('POST', '/v1/reconcile'), 'POST /v1/reconcile');
  console.log(json ? JSON.stringify(found) : reconciliationText(found));
  if (found.missing.length > 0) process.exitCode = 1;
}

if (import.meta.main) {
  const program = new Command('npm run reconcile --')
    .description('Compare the events that the edge issued with the rows stored. Ends with 1 when one is missing.')
    .option('--edge <url>', 'base URL of the edge', ENVIRONMENT.edgeUrl)
    .option('--data <dir>', 'data folder of npm start, for its keys', ENVIRONMENT.dataDir)
    .option('--json', 'print the comparison as JSON')
    .allowExcessArguments(false)
    .parse();
  try {
    await run(program.opts<CommandOptions>());
  } catch (error) {
    exitWith(error);
  }
}
