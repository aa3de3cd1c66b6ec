/**
 * `npm run experiments`: experiments as files in git. `plan` shows how the files of a folder differ from what the
 * backend has, `apply` shows the same and then makes it so. An experiment without a file is named and left alone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { ExperimentList, ExperimentPlan } from '../shared/contract/lifecycle.ts';
import { ExperimentDefinition } from '../shared/experiment-definition.ts';
import { HarnessError, parse } from '../shared/problem.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { type BackendClient, backendClient } from './backend-client.ts';
import { ENVIRONMENT } from './environment.ts';
import { readKeys } from './keys.ts';
import { serviceUrl } from './service-url.ts';

interface FilePlan extends ExperimentPlan {
  key: string;
  definition: ExperimentDefinition;
}

export interface Plan {
  files: FilePlan[];
  /** Keys that the backend has and no file. */
  unmanaged: string[];
}

/** The definitions in a folder, by key; throws `bad_request` naming the file and the field, for a file named otherwise than its key, and where there is no folder. */
export function readDefinitions(dir: string): ExperimentDefinition[] {
  return filesIn(dir).map((file) => {
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(file, 'utf8'));
    } catch (cause) {
      throw new HarnessError('bad_request', `${file}: expected JSON (${(cause as Error).message}).`, { cause });
    }
    const definition = parse(ExperimentDefinition, value, file);
    if (basename(file, '.json') !== definition.key)
      throw new HarnessError('bad_request', `${file}: expected the name ${definition.key}.json, after its key.`);
    return definition;
  });
}

/** By name, hidden ones left out. */
function filesIn(dir: string): string[] {
  try {
    const names = readdirSync(dir).filter((name) => /^[^.].*\.json$/.test(name));
    return names.sort().map((name) => join(dir, name));
  } catch (cause) {
    throw new HarnessError('bad_request', `--dir: expected a folder of KEY.json files, got ${dir}.`, { cause });
  }
}

/** All that the backend has, by key. */
export async function fetchExperiments(call: BackendClient): Promise<ExperimentDefinition[]> {
  const all: ExperimentDefinition[] = [];
  let query = '';
  for (;;) {
    const path = `/v1/experiments${query}`;
    const { experiments, next } = parse(ExperimentList, await call('GET', path), `GET ${path}`);
    all.push(...experiments);
    if (next === null) return all;
    query = `?${new URLSearchParams({ after: next })}`;
  }
}

/** What applying the definitions would do, each judged against what the backend has now. Those that end come first: they make room. */
export async function planFiles(call: BackendClient, definitions: readonly ExperimentDefinition[]): Promise<Plan> {
  const experiments = await fetchExperiments(call);
  const files: FilePlan[] = [];
  for (const definition of definitions) {
    const path = '/v1/experiments:validate';
    const plan = parse(ExperimentPlan, await call('POST', path, definition), `POST ${path}`);
    files.push({ key: definition.key, definition, ...plan });
  }
  const ends = ({ action }: FilePlan) => action === 'stop' || action === 'ship' || action === 'archive';
  const managed = new Set(definitions.map(({ key }) => key));
  return {
    files: [...files.filter(ends), ...files.filter((plan) => !ends(plan))],
    unmanaged: experiments.map(({ key }) => key).filter((key) => !managed.has(key)),
  };
}

/** Puts what differs, in the order of the plan; the first refusal ends it. Gives the keys put. */
export async function applyPlan(
  call: BackendClient,
  { files }: Plan,
  { by, why }: { by: string; why: string },
): Promise<string[]> {
  const put: string[] = [];
  for (const { key, action, definition } of files) {
    if (action === 'none') continue;
    await call('PUT', `/v1/experiments/${key}?${new URLSearchParams({ by, why })}`, definition);
    put.push(key);
  }
  return put;
}

const shown = (value: unknown) => (value === undefined ? 'nothing' : JSON.stringify(value));

/** The plan as a diff. A problem that an earlier line of the plan solves is gone by the time it is applied. */
export function planText({ files, unmanaged }: Plan): string {
  const changes = files.filter(({ action }) => action !== 'none');
  const lines = changes.flatMap(({ key, action, differences, problem }) => [
    `${action} ${key}`,
    ...differences.flatMap(({ path, from, to }) =>
      action === 'create'
        ? [`  + ${path}: ${shown(to)}`]
        : [`  - ${path}: ${shown(from)}`, `  + ${path}: ${shown(to)}`],
    ),
    ...(problem === null ? [] : [`  ! ${problem}`]),
  ]);
  const same = files.length - changes.length;
  return [
    ...lines,
    `${changes.length} to change, ${same} as in the files.`,
    ...(unmanaged.length === 0 ? [] : [`Without a file, left alone: ${unmanaged.join(', ')}.`]),
  ].join('\n');
}

interface CommandOptions {
  dir: string;
  backend: string;
  data: string;
  json?: boolean;
  by: string;
  why: string;
}

async function run(verb: 'plan' | 'apply', { dir, backend, data, json, by, why }: CommandOptions): Promise<void> {
  const call = backendClient(serviceUrl('--backend', backend), parseKeyRing(readKeys(data)));
  const plan = await planFiles(call, readDefinitions(dir));
  if (!json) console.log(planText(plan));
  const put = verb === 'apply' ? await applyPlan(call, plan, { by, why }) : [];
  if (json) console.log(JSON.stringify({ ...plan, put }));
  else if (verb === 'apply') console.log(put.length === 0 ? 'Nothing to do.' : `Applied: ${put.join(', ')}.`);
}

if (import.meta.main) {
  const program = new Command('npm run experiments --').description(
    'Experiments as files: what differs, and making it so.',
  );
  for (const [verb, description] of [
    ['plan', 'show how the files differ from what the backend has'],
    ['apply', 'show it, then make it so'],
  ] as const) {
    const command = program
      .command(verb)
      .description(description)
      .option('--dir <folder>', 'folder of KEY.json files', 'experiments')
      .option('--backend <url>', 'base URL of the backend', ENVIRONMENT.backendUrl)
      .option('--data <dir>', 'data folder of npm start, for its keys', ENVIRONMENT.dataDir)
      .option('--json', 'print JSON')
      .allowExcessArguments(false);
    if (verb === 'apply')
      command
        .option('--by <name>', 'who changes it, for the record', userInfo().username)
        .option('--why <text>', 'why, for the record', 'applied from files');
    command.action(async (options: CommandOptions) => {
      try {
        await run(verb, options);
      } catch (error) {
        exitWith(error);
      }
    });
  }
  await program.parseAsync();
}
