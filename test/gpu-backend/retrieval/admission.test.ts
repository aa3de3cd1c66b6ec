/** What may be brought up at all, in a whole retrieval: by eligibility and the kill list of the moment in which it is answered. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type AccountChange, Eligibility } from '../../../gpu-backend/catalogue/eligibility.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import type { AnnIndex } from '../../../gpu-backend/index/ann-index.ts';
import { killedBy } from '../../../gpu-backend/retrieval/admission.ts';
import { createRetrieval, type Retrieval } from '../../../gpu-backend/retrieval/retrieve.ts';
import type { Campaign } from '../../../shared/contract/accounts.ts';
import { killEntry } from '../../../shared/contract/takedown.ts';
import type { Plan, RetrieverName } from '../../../shared/plan.ts';
import { NORMALIZER_VERSION } from '../../../shared/text.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallHouse } from '../../fixtures/small-house.ts';

const at = testFolder('admission');
const PLANS: RetrieverName[][] = [['lexical'], ['dense'], ['keyword'], ['dense', 'keyword', 'lexical']];
let house: SmallHouse;
let eligibility: Eligibility;
let list: string[];
let revision = 0;

beforeAll(async () => {
  house = await smallHouse({ bundle: await smallBundle(at('bundle')), dataDir: at('data') });
  await house.publisher.build();
});
afterAll(() => house.close());
beforeEach(() => {
  eligibility = new Eligibility();
  list = [];
});

const open = (live = house.live): Retrieval =>
  createRetrieval({
    ...{ encoder: house.encoder, live, calibration: house.bundle.manifest.calibration },
    admitted: { eligibility, killed: killedBy(() => list) },
  });
const ask = (retrieval: Retrieval, query: string, plan: Partial<Plan> = {}) =>
  retrieval.retrieve({
    ...{ query, normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 10_000 },
    plan: { retrievers: ['dense', 'lexical'], k: 100, minRelevance: 0, ...plan },
  });
const apply = (change: Pick<AccountChange, 'kind' | 'id' | 'account'>) =>
  eligibility.apply({ ...change, revision: ++revision });
const book = (change: Partial<Campaign>) => {
  const { campaignId: id, advertiserId } = house.catalogue.get('sofa-red')!.ad;
  apply({ kind: 'campaign', id, account: { id, advertiserId, status: 'active', ...change } });
};

it('brings up nothing by any plan that a campaign, an advertiser or a rule does not let', async () => {
  const retrieval = open();
  for (const retrievers of PLANS) {
    const found = async () => (await ask(retrieval, 'red sofa', { retrievers })).candidates.length;
    book({});
    expect(await found()).toBeGreaterThan(0);
    for (const change of [
      { status: 'paused' as const },
      { dailyBudgetMicros: 0 },
      { markets: ['gb'] },
      { languages: ['de'] },
      { negatives: [{ text: 'red', match: 'broad' as const }] },
    ]) {
      book(change);
      expect(await found(), `${retrievers} ${JSON.stringify(change)}`).toBe(0);
    }
  }
});

it('hands on what is left to ask of each request: devices, hours and flags of policy', async () => {
  const retrieval = open();
  const schedule = { timeZone: 'UTC', hours: [{ days: [0, 1, 2, 3, 4, 5, 6], from: '00:00', to: '24:00' }] };
  book({ devices: ['mobile'], schedule, policyFlags: ['loans'] });
  const [first] = (await ask(retrieval, 'red sofa')).candidates;
  expect(first).toMatchObject({ adId: 'sofa-red', devices: ['mobile'], schedule, policyFlags: ['loans'] });
  book({});
  const [bare] = (await ask(retrieval, 'red sofa')).candidates;
  expect([bare!.adId, bare!.devices, bare!.schedule, bare!.policyFlags]).toEqual(['sofa-red', ...Array(3)]);
});

it('lets the gate go by what may be shown alone', async () => {
  const retrieval = open();
  const plan = { retrievers: ['dense' as const, 'lexical' as const], denseGate: 0.5 };
  expect((await ask(retrieval, 'red sofa', plan)).encodedBy).toBeUndefined();
  book({ status: 'paused' });
  expect((await ask(retrieval, 'red sofa', plan)).encodedBy).toBe('student');
});

it('goes by the list in use, however long the one before was', async () => {
  const retrieval = open();
  const first = async () => (await ask(retrieval, 'red sofa')).candidates[0]!.adId;
  list = ['car-red'];
  expect(await first()).toBe('sofa-red');
  list = ['sofa-red'];
  expect(await first()).not.toBe('sofa-red');
  list = ['lamp-red'];
  expect(await first()).toBe('sofa-red');
});

/** The house's generation in an index that is elsewhere, and takes as long to answer as `wait`. */
async function elsewhere(number: number, wait: () => Promise<void>) {
  const loaded = await house.store.load(house.store.folder(1), { spaceId: house.encoder.spaceId });
  const far = (index: AnnIndex): AnnIndex => ({
    ...{ size: index.size, dimension: index.dimension },
    async search(...asked) {
      await wait();
      return index.search(...asked);
    },
  });
  return {
    ...loaded,
    manifest: { ...loaded.manifest, number },
    indices: new Map([...loaded.indices].map(([market, index]) => [market, far(index)])),
  };
}

it('asks the generation that took over while the index of the one before was waited for', async () => {
  const live = new Live(house.encoder);
  const next = await elsewhere(9, async () => undefined);
  let waits = 0;
  await live.swap(
    await elsewhere(8, async () => {
      waits++;
      await live.swap(next);
      // Told to the newer one alone.
      live.applyUpsert({ ...house.catalogue.get('sofa-red')!.ad, bidMicros: 5 }, 50);
    }),
  );
  const { generation, candidates } = await ask(open(live), 'red sofa');
  expect([waits, generation, candidates[0]!.adId, candidates[0]!.bidMicros]).toEqual([1, 9, 'sofa-red', 5]);
});

it('leaves out what was killed, or paused with its campaign, while the index was waited for', async () => {
  const live = new Live(house.encoder);
  let meanwhile = () => {};
  await live.swap(await elsewhere(1, async () => meanwhile()));
  const retrieval = open(live);
  const found = async () => (await ask(retrieval, 'red sofa', { retrievers: ['dense'] })).candidates;
  expect((await found())[0]!.adId).toBe('sofa-red');
  meanwhile = () => {
    list = ['sofa-red'];
  };
  expect((await found()).map(({ adId }) => adId)).not.toContain('sofa-red');
  list = [];
  meanwhile = () => book({ status: 'paused' });
  expect(await found()).toEqual([]);
  book({});
  meanwhile = () => {
    list = [killEntry('advertiser', house.catalogue.get('sofa-red')!.ad.advertiserId)];
  };
  expect(await found()).toEqual([]);
});
