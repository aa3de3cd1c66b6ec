/**
 * What may become of an experiment: draft, running, stopped, archived. Pure. A running experiment changes only in ways that
 * move nobody who is in, and a stopped one stays the record of what ran; for anything else its version is raised, which
 * deals the arms anew and says so in the report.
 */
import type { ExperimentDefinition } from './experiment-definition.ts';

/** What a change amounts to; `none` where the definitions say the same. */
export const LIFECYCLE_ACTIONS = [
  'none',
  'create',
  'edit',
  'start',
  'ramp',
  'restart',
  'stop',
  'ship',
  'withdraw',
  'archive',
] as const;
export type LifecycleAction = (typeof LIFECYCLE_ACTIONS)[number];

/** One place where two definitions differ; arms are named by their key. Absent is `undefined`. */
export interface Difference {
  path: string;
  from: unknown;
  to: unknown;
}

/** The statuses that each may be followed by, under the same version. */
const NEXT: Record<ExperimentDefinition['status'], readonly ExperimentDefinition['status'][]> = {
  draft: ['draft', 'running', 'archived'],
  running: ['running', 'stopped'],
  stopped: ['stopped', 'archived'],
  archived: ['archived'],
};

/** What decides who sees what. */
const DEALING = ['layer', 'kind', 'switchback', 'domain', 'diversion', 'targeting', 'control', 'arms', 'sticky'];

const versionOf = (experiment: ExperimentDefinition) => experiment.version ?? 1;
const shareOf = ({ targeting }: ExperimentDefinition) => targeting?.share ?? 1;
const blockOf = ({ minVersion }: ExperimentDefinition) => minVersion ?? 1;

/** Where the definitions differ, in the order of their fields. */
export function differences(before: ExperimentDefinition | undefined, after: ExperimentDefinition): Difference[] {
  const [from, to] = [leaves(before ?? {}), leaves(after)];
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((path) => JSON.stringify(from.get(path)) !== JSON.stringify(to.get(path)))
    .map((path) => ({ path, from: from.get(path), to: to.get(path) }));
}

function leaves(value: object, path = '', into = new Map<string, unknown>()): Map<string, unknown> {
  for (const [key, child] of Object.entries(value)) {
    const here = path === '' ? key : `${path}.${key}`;
    if (Array.isArray(child) && child.length > 0 && child.every((item) => typeof item?.key === 'string')) {
      into.set(
        here,
        child.map(({ key }) => key),
      ); // the order deals the arms
      for (const { key, ...rest } of child) leaves(rest, `${here}.${key}`, into);
    } else if (child !== null && typeof child === 'object' && !Array.isArray(child)) leaves(child, here, into);
    else if (child !== undefined) into.set(here, child);
  }
  return into;
}

/** What the change amounts to; `refusal` says in one sentence why it may not be, and what to do instead. */
export function judge(
  before: ExperimentDefinition | undefined,
  after: ExperimentDefinition,
): { action: LifecycleAction; differences: Difference[]; refusal?: string } {
  const changed = differences(before, after);
  const refusal = before && changed.length > 0 ? refuse(before, after, changed) : undefined;
  return {
    action: actionOf(before, after, changed),
    differences: changed,
    ...(refusal === undefined ? {} : { refusal }),
  };
}

function actionOf(
  before: ExperimentDefinition | undefined,
  after: ExperimentDefinition,
  changed: readonly Difference[],
): LifecycleAction {
  if (before === undefined) return 'create';
  if (changed.length === 0) return 'none';
  if (after.shipped !== before.shipped && after.status !== 'running')
    return after.shipped === undefined ? 'withdraw' : 'ship';
  if (before.status !== after.status) {
    if (after.status === 'running') return before.status === 'draft' ? 'start' : 'restart';
    if (after.status === 'stopped') return 'stop';
    if (after.status === 'archived') return 'archive';
    return 'edit';
  }
  if (after.status !== 'running') return 'edit';
  if (versionOf(before) !== versionOf(after)) return 'restart';
  return changed.some(({ path }) => path === 'buckets' || path === 'targeting.share') ? 'ramp' : 'edit';
}

function refuse(
  before: ExperimentDefinition,
  after: ExperimentDefinition,
  changed: readonly Difference[],
): string | undefined {
  const { key } = before;
  const [was, is] = [versionOf(before), versionOf(after)];
  const under = `under version ${was + 1} or later`;
  const withdrawn = after.shipped === undefined && changed.every(({ path }) => path === 'shipped');
  if (before.status === 'archived' && !withdrawn) return `${key} is archived, which is its end; use another key.`;
  if (is < was) return `${key}: expected version ${was} or later, got ${is}.`;
  if (before.status === 'running' && ['draft', 'archived'].includes(after.status))
    return `${key} is running: stop it before it becomes ${after.status === 'draft' ? 'a draft' : 'archived'}.`;
  const won = after.arms.find(({ key }) => key === after.shipped);
  if (won?.parameters.model !== undefined && after.shipped !== before.shipped)
    return `${key}: the plan of ${won.key} names a model, which everybody's does not: put its bundle in the place of the one served.`;
  if (is > was) return undefined;
  if (!NEXT[before.status].includes(after.status))
    return `${key} was ${before.status}: it cannot become ${after.status} under the same version; run it again ${under}.`;
  if (before.status === 'draft') return undefined;
  const dealt = changed.find(
    ({ path }) => path !== 'targeting.share' && DEALING.some((field) => path === field || path.startsWith(`${field}.`)),
  );
  if (dealt !== undefined)
    return `${key} ${before.status === 'running' ? 'is running' : 'has run'}: ${dealt.path} decides who sees what, so that it changes ${under} only.`;
  if (before.status === 'running' && blockOf(after) > blockOf(before))
    return `${key} is running: a minVersion of ${blockOf(after)} would take visitors of earlier versions out; raise it ${under}, or stop the experiment.`;
  const range = changed.find(({ path }) => path === 'buckets' || path === 'targeting.share');
  if (range === undefined) return undefined;
  if (before.status === 'stopped') return `${key} has run: ${range.path} changes ${under} only.`;
  const [[from, to], [newFrom, newTo]] = [before.buckets, after.buckets];
  if (newFrom > from || newTo < to)
    return `${key} is running: buckets [${newFrom}, ${newTo}) would take units of [${from}, ${to}) out; widen them, or stop the experiment.`;
  if (shareOf(after) < shareOf(before))
    return `${key} is running: a share of ${shareOf(after)} would take units of ${shareOf(before)} out; raise it, or stop the experiment.`;
  return undefined;
}
