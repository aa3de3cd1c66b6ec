/** What the cookie of sticky arms keeps, also when there are more experiments than it has room for. */
import { expect, it } from 'vitest';
import {
  readSticky,
  STICKY_COOKIE,
  type StickyCookieOptions,
  type StickyRecords,
  stickyCookie,
} from '../../edge/sticky.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import type { Experiment } from '../../shared/experiment.ts';
import { parseKeyRing } from '../../shared/signature.ts';
import { TEST_KEYS } from './stand-in.ts';

const KEYS = parseKeyRing(TEST_KEYS);
const BASE = DEFAULT_CONFIG.experiments[0]!;
const long = 'k'.repeat(61);
const experiment = (i: number, status: Experiment['status']): Experiment => ({
  ...BASE,
  key: `${long}-${String(i).padStart(2, '0')}`,
  status,
  sticky: true,
  arms: BASE.arms.map((arm) => ({ ...arm, key: 'a'.repeat(64) })),
});

/** What the cookie says that a request is answered with. */
async function remembered(request: Omit<StickyCookieOptions, 'keys' | 'unitId'>): Promise<StickyRecords> {
  const cookie = (await stickyCookie({ keys: KEYS, unitId: 'unit', ...request }))!;
  return readSticky(new Headers({ cookie: cookie.split(';')[0]! }), KEYS, 'unit');
}

/** What a visitor's cookie says after each of these experiments in turn took part, those before it being of that status by then. */
async function after(experiments: readonly Experiment[], before: Experiment['status']) {
  let records: StickyRecords = new Map();
  let cookie: string | undefined;
  for (const [i, each] of experiments.entries()) {
    const now = experiments.map((other, j) => (j < i ? { ...other, status: before } : other));
    const assigned = [{ experiment: each, arm: each.arms[0]!, unitId: 'unit' }];
    const options = { keys: KEYS, unitId: 'unit', before: records, assigned, experiments: now };
    cookie = (await stickyCookie(options)) ?? cookie;
    const headers = new Headers({ cookie: cookie!.split(';')[0]! });
    records = await readSticky(headers, KEYS, 'unit');
  }
  return { cookie: cookie!, keys: [...records.keys()] };
}

it('is kept of what runs, in the place of what does not, and is never too long for a browser', async () => {
  const experiments = Array.from({ length: 40 }, (_, i) => experiment(i, 'running'));
  const { cookie, keys } = await after(experiments, 'stopped');
  expect(keys).toHaveLength(16);
  expect(keys).toContain(experiments.at(-1)!.key);
  expect(cookie.startsWith(`${STICKY_COOKIE}=`)).toBe(true);
  expect(cookie.length).toBeLessThan(4_096);
});

it('is kept of those that came first where all run', async () => {
  const experiments = Array.from({ length: 20 }, (_, i) => experiment(i, 'running'));
  const { keys } = await after(experiments, 'running');
  expect(keys).toEqual(experiments.slice(0, 16).map(({ key }) => key));
});

it('forgets what the configuration no longer has, or no longer keeps', async () => {
  const [gone, loose, kept] = [0, 1, 2].map((i) => experiment(i, 'running'));
  const before: StickyRecords = new Map([gone!, loose!].map(({ key }) => [key, { arm: 'a', version: 1 }]));
  const assigned = [{ experiment: kept!, arm: kept!.arms[0]!, unitId: 'unit' }];
  const experiments = [{ ...loose!, sticky: false }, kept!];
  expect([...(await remembered({ before, assigned, experiments })).keys()]).toEqual([kept!.key]);
});

it('tells of each experiment the version that first dealt the visitor the arm', async () => {
  const [old, raised] = [0, 1].map((i) => ({ ...experiment(i, 'running'), version: 3 }));
  const arm = old!.arms[0]!;
  const before: StickyRecords = new Map([[old!.key, { arm: arm.key, version: 2 }]]);
  const assigned = [old!, raised!].map((each) => ({ experiment: each, arm, unitId: 'unit' }));
  const records = await remembered({ before, assigned, experiments: [old!, raised!] });
  expect([...records.values()].map(({ version }) => version)).toEqual([2, 3]);
});
