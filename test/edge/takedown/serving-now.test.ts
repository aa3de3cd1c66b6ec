/** What is served by while configuration and kill list change, each in its own time. */
import { beforeEach, expect, it } from 'vitest';
import { Serving } from '../../../edge/serving.ts';
import { servingNow } from '../../../edge/takedown/serving-now.ts';
import type { ServingConfig } from '../../../shared/contract/config.ts';
import type { KillList } from '../../../shared/contract/takedown.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';

const [experiment] = DEFAULT_CONFIG.experiments;
const configOf = (version: number, patch: Partial<ServingConfig> = {}) =>
  new Serving({ ...DEFAULT_CONFIG, version, ...patch });
const listOf = (version: number, patch: Partial<KillList> = {}): KillList => ({
  version,
  generation: 7,
  adIds: ['of-list'],
  ...patch,
});

let config: { serving: Serving };
let killList: { list: KillList };
let serving: () => Serving;
beforeEach(() => {
  config = { serving: configOf(3, { killList: ['of-configuration'] }) };
  killList = { list: listOf(2) };
  serving = servingNow({ config, killList });
});

it('is the configuration itself until the list is newer', () => {
  for (const version of [2, 3]) {
    killList.list = listOf(version);
    expect(serving()).toBe(config.serving);
  }
  killList.list = listOf(4);
  expect([...serving().killed]).toEqual(['of-list']);
});

it('is made anew for another list and for another configuration, and for nothing else', () => {
  killList.list = listOf(9);
  const first = serving();
  expect(serving()).toBe(first);
  killList.list = listOf(10, { adIds: ['of-another-list'] });
  const second = serving();
  expect([...second.killed]).toEqual(['of-another-list']);
  config.serving = configOf(8, { experiments: [] });
  expect(serving().config).toMatchObject({ version: 8, experiments: [], killList: ['of-another-list'] });
  killList.list = listOf(11);
  config.serving = configOf(11);
  expect(serving()).toBe(config.serving);
});

it('stops what runs and is not on the list, and begins nothing that is', () => {
  const named = (key: string, status: 'draft' | 'running') => ({ ...experiment!, key, status });
  const experiments = [named('on', 'running'), named('off', 'running'), named('begun', 'draft'), named('new', 'draft')];
  config.serving = configOf(3, { experiments });
  const statuses = (running?: string[]) => {
    killList.list = listOf(4, running && { running });
    return serving().config.experiments.map(({ status }) => status);
  };
  expect(statuses(['on', 'begun'])).toEqual(['running', 'stopped', 'draft', 'draft']);
  expect(statuses(undefined)).toEqual(['running', 'running', 'draft', 'draft']);
});
