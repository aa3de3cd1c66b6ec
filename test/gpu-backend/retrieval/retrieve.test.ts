import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Eligibility } from '../../../gpu-backend/catalogue/eligibility.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import { sixteenBits } from '../../../gpu-backend/index/vector-rows.ts';
import { killedBy } from '../../../gpu-backend/retrieval/admission.ts';
import { type Considered, createRetrieval } from '../../../gpu-backend/retrieval/retrieve.ts';
import { RetrieveResponse } from '../../../shared/contract/retrieve.ts';
import { killEntry } from '../../../shared/contract/takedown.ts';
import { adapted, queryCosines } from '../../../shared/cosine-adapter.ts';
import { terms } from '../../../shared/coverage.ts';
import type { Plan } from '../../../shared/plan.ts';
import { packFloats } from '../../../shared/query-vector.ts';
import { relevanceOf } from '../../../shared/relevance.ts';
import { NORMALIZER_VERSION, normalize } from '../../../shared/text.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallHouse } from '../../fixtures/small-house.ts';

const at = testFolder('retrieve');
let house: SmallHouse;

beforeAll(async () => {
  house = await smallHouse({ bundle: await smallBundle(at('bundle')), dataDir: at('data') });
  await house.publisher.build();
});
afterAll(() => house.close());

const LEXICAL = { retrievers: ['lexical' as const] };
const DENSE = { retrievers: ['dense' as const] };
const BOTH = { retrievers: ['dense' as const, 'lexical' as const] };

describe('retrieve', () => {
  it('finds by meaning what shares no word with the query, which words alone do not', async () => {
    expect(await house.ids('couch', LEXICAL)).toEqual([]);
    for (const plan of [DENSE, BOTH]) {
      const ids = await house.ids('couch', { ...plan, k: 4 });
      expect(ids.every((id) => id.startsWith('sofa-'))).toBe(true);
    }
  });

  it('answers what the contract says, naming generation, model and space', async () => {
    const answer = await house.ask('red sofa');
    expect(RetrieveResponse.parse(answer)).toEqual(answer);
    expect(answer).toMatchObject({ generation: 1, model: 'tiny-1', spaceId: house.bundle.manifest.spaceId });
    expect(answer.timings.encodeMs).toBeGreaterThan(0);
    expect((await house.ask('red sofa', LEXICAL)).timings.encodeMs).toBe(0);
  });

  it('says of each candidate where it was found, with rank and score', async () => {
    const { candidates } = await house.ask('red sofa');
    expect(candidates[0]).toMatchObject({ adId: 'sofa-red', title: 'red sofa' });
    expect(candidates[0]!.sources).toEqual([
      { retriever: 'dense', rank: 1, score: expect.any(Number) },
      { retriever: 'lexical', rank: 1, score: expect.any(Number) },
    ]);
    for (const { sources } of candidates) expect(sources.length).toBeGreaterThan(0);
  });

  it('gives lexical and dense finds one scale of relevance, from cosine and coverage', async () => {
    const { candidates } = await house.ask('red sofa', { k: 100 });
    const of = async (plan: typeof DENSE | typeof LEXICAL) =>
      new Map((await house.ask('red sofa', { ...plan, k: 100 })).candidates.map((c) => [c.adId, c]));
    const [dense, lexical] = [await of(DENSE), await of(LEXICAL)];
    expect(lexical.size).toBeGreaterThan(0);
    expect(lexical.size).toBeLessThan(dense.size);
    const bestCoverage = Math.max(...[...lexical.values()].map(({ relevance }) => relevance));
    for (const { adId, relevance } of candidates) {
      const cosine = dense.get(adId)!.sources[0]!.score;
      const coverage = lexical.get(adId)?.relevance ?? 0;
      expect(relevance).toBeCloseTo(
        relevanceOf({ cosine, coverage, bestCoverage }, house.bundle.manifest.calibration),
        10,
      );
    }
  });

  it('knows no coverage where vectors alone are asked', async () => {
    const { candidates } = await house.ask('red sofa', DENSE);
    for (const { relevance, sources } of candidates) {
      const evidence = { cosine: sources[0]!.score, coverage: 0, bestCoverage: 0 };
      expect(relevance).toBe(relevanceOf(evidence, house.bundle.manifest.calibration));
    }
  });

  it('puts the most relevant first, be it low in fusion', async () => {
    const { ad } = house.catalogue.get('sofa-red')!;
    const [vector] = (await house.encoder.encode(['red couch'])).vectors as [Float32Array];
    // By one retriever the very best, which two that both rank lower outweigh in fusion.
    house.live.applyUpsert({ ...ad, id: 'meant', title: 'thing', description: '', keywords: [] }, 100, {
      ...{ components: sixteenBits(vector), source: 'uploaded' },
    });
    const { candidates } = await house.ask('red couch', { k: 100 });
    const relevances = candidates.map(({ relevance }) => relevance);
    expect(relevances).toEqual(relevances.toSorted((a, b) => b - a));
    expect(candidates[0]).toMatchObject({ adId: 'meant', sources: [{ retriever: 'dense', rank: 1 }] });
    const shares = ({ sources }: (typeof candidates)[number]) =>
      sources.reduce((sum, { rank }) => sum + 1 / (60 + rank), 0);
    expect(shares(candidates[0]!)).toBeLessThan(Math.max(...candidates.map(shares)));
    house.live.applyDelete('meant', 101);
  });

  it('fills k however large it is', async () => {
    const [vector] = (await house.encoder.encode(['red couch'])).vectors as [Float32Array];
    const { ad } = house.catalogue.get('sofa-red')!;
    const view = house.live.view!;
    const crowd = Array.from({ length: 130 }, (_, i) => `crowd-${i}`);
    for (const id of crowd)
      view.put({ ...ad, id, title: 'red couch' }, 100, { components: sixteenBits(vector), source: 'uploaded' });
    for (const plan of [LEXICAL, DENSE, { retrievers: ['keyword' as const] }])
      expect(await house.ids('red sofa', { ...plan, k: 120 })).toHaveLength(120);
    for (const id of crowd) view.remove(id);
  });

  it('cuts below the least relevance, and to k', async () => {
    const all = await house.ask('red sofa', { k: 100 });
    expect(await house.ids('red sofa', { ...LEXICAL, minRelevance: 1 })).toEqual(['sofa-red']);
    const cut = await house.ask('red sofa', { k: 100, minRelevance: 0.5 });
    expect(cut.candidates).toEqual(all.candidates.filter(({ relevance }) => relevance >= 0.5));
    expect(cut.candidates.length).toBeLessThan(all.candidates.length);
    expect((await house.ask('red sofa', { k: 3 })).candidates).toEqual(all.candidates.slice(0, 3));
  });

  it('fills k in a market as far as the market has ads', async () => {
    for (const [market, booked] of [
      ['us', 24],
      ['gb', 24],
      ['au', 0],
    ] as const) {
      const { candidates } = await house.ask('couch', { ...DENSE, market, k: 200 });
      expect(candidates).toHaveLength(booked);
      for (const { adId } of candidates) expect(house.catalogue.get(adId)!.ad.markets).toContain(market);
    }
  });

  it('answers an empty list, and no error, where a query says nothing', async () => {
    for (const query of ['the of and', '!?', '|']) {
      for (const plan of [LEXICAL, DENSE, BOTH]) expect(await house.ids(query, plan)).toEqual([]);
    }
  });

  it('answers the same to the same question, and takes any query', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 100 }), async (raw) => {
        const query = normalize(raw);
        if (query === '') return;
        const [first, second] = [await house.ask(query), await house.ask(query)];
        expect(first.candidates).toEqual(second.candidates);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  it('breaks ties by ad id', async () => {
    const { ad } = house.catalogue.get('sofa-red')!;
    for (const id of ['twin-c', 'twin-a', 'twin-b']) await house.put({ ...ad, id, title: 'purple couch' });
    for (const plan of [LEXICAL, DENSE, BOTH]) {
      const ids = (await house.ids('purple couch', plan)).filter((id) => id.startsWith('twin'));
      expect(ids).toEqual(['twin-a', 'twin-b', 'twin-c']);
    }
    for (const id of ['twin-c', 'twin-a', 'twin-b']) house.remove(id);
  });

  it('bids for an ad what its keyword bids, whoever found it, and says how that matched', async () => {
    const { ad } = house.catalogue.get('sofa-red')!;
    await house.put({ ...ad, id: 'dear', keywords: [{ text: 'sofa', match: 'phrase', bidMicros: 77 }] });
    const KEYWORD = { retrievers: ['keyword' as const] };
    for (const plan of [LEXICAL, DENSE, BOTH, KEYWORD]) {
      const found = async (query: string) =>
        (await house.ask(query, { ...plan, k: 100 })).candidates.find(({ adId }) => adId === 'dear');
      expect(await found('red sofa')).toMatchObject({ bidMicros: 77, match: 'phrase' });
      const { bidMicros, match } = (await found('red')) ?? { bidMicros: ad.bidMicros };
      expect([bidMicros, match]).toEqual([ad.bidMicros, undefined]);
    }
    house.remove('dear');
  });

  it('takes for coverage the greater of what words and keywords cover', async () => {
    let seen: Considered | undefined;
    const retrieval = createRetrieval({
      ...{ encoder: house.encoder, live: house.live, calibration: house.bundle.manifest.calibration },
      onConsidered: (answer) => {
        seen = answer();
      },
    });
    const coverageBy = async (retrievers: Plan['retrievers']) => {
      await retrieval.retrieve({
        ...{ query: 'red sofa', normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 10_000 },
        plan: { retrievers, k: 10, minRelevance: 0 },
      });
      return seen!.ads.find(({ adId }) => adId === 'sofa-red')!.coverage;
    };
    // Its title says both words, its keyword one.
    expect(await coverageBy(['lexical'])).toBe(1);
    expect(await coverageBy(['keyword'])).toBe(0.5);
    expect(await coverageBy(['keyword', 'lexical'])).toBe(1);
  });

  it('knows coverage and cosine of an ad that the other retriever found, though its own ranks it too low', async () => {
    const query = 'red couch';
    const [vector] = (await house.encoder.encode([query])).vectors as [Float32Array];
    const { ad } = house.catalogue.get('sofa-red')!;
    const view = house.live.view!;
    const crowd = Array.from({ length: 120 }, (_, i) => `crowd-${i}`);
    for (const [i, id] of crowd.entries()) {
      const components = sixteenBits(vector.map((value, at) => value + ((i + at) % 7) / 50));
      view.put({ ...ad, id, title: 'red thing', keywords: [], description: 'Red.' }, 100, {
        components,
        source: 'uploaded',
      });
    }
    const put = (id: string, title: string, components: Float32Array) =>
      view.put({ ...ad, id, title, keywords: [], description: 'Red.' }, 100, {
        components: sixteenBits(components),
        source: 'uploaded',
      });
    put('near', 'thing', vector);
    put(
      'said',
      query,
      vector.map((value) => -value),
    );
    let seen: Considered | undefined;
    const retrieval = createRetrieval({
      ...{ encoder: house.encoder, live: house.live, calibration: house.bundle.manifest.calibration },
      onConsidered: (answer) => {
        seen = answer();
      },
    });
    await retrieval.retrieve({
      ...{ query, normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 10_000 },
      plan: { ...BOTH, k: 10, minRelevance: 0 },
    });
    const foundBy = (id: string) => {
      const { sources, coverage, cosine } = seen!.ads.find(({ adId }) => adId === id)!;
      return { by: sources.map(({ retriever, rank }) => [retriever, rank]), coverage, cosine };
    };
    expect(foundBy('near')).toMatchObject({ by: [['dense', 1]], cosine: expect.closeTo(1, 3) });
    expect(foundBy('near').coverage).toBeGreaterThan(0);
    expect(foundBy('said')).toMatchObject({ by: [['lexical', 1]], coverage: 1, cosine: expect.closeTo(-1, 3) });
    for (const id of [...crowd, 'near', 'said']) view.remove(id);
  });

  it('brings up nothing that is on the kill list, be it an ad or all of a campaign or an advertiser, by any plan', async () => {
    let list: string[] = [];
    const retrieval = createRetrieval({
      ...{ encoder: house.encoder, live: house.live, calibration: house.bundle.manifest.calibration },
      admitted: { eligibility: new Eligibility(), killed: killedBy(() => list) },
    });
    const { ad } = house.catalogue.get('sofa-red')!;
    const other = { ...ad, id: 'other', advertiserId: 'advertiser-2', campaignId: 'campaign-2' };
    await house.put({ ...other, negatives: [{ text: 'cheap', match: 'broad' }] });
    const found = async (query: string, retrievers: Plan['retrievers']) => {
      const { candidates } = await retrieval.retrieve({
        ...{ query, normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 10_000 },
        plan: { retrievers, k: 200, minRelevance: 0 },
      });
      return ['other', 'sofa-red'].filter((id) => candidates.some(({ adId }) => adId === id));
    };
    for (const retrievers of [['lexical'], ['dense'], ['keyword'], ['dense', 'keyword', 'lexical']] as const) {
      for (const [killed, left] of [
        [[], ['other', 'sofa-red']],
        [['sofa-red', 'car-red'], ['other']],
        [[killEntry('campaign', ad.campaignId)], ['other']],
        [[killEntry('advertiser', ad.advertiserId)], ['other']],
        [[killEntry('advertiser', 'advertiser-2'), 'campaign-1'], ['sofa-red']],
      ] as const) {
        list = [...killed];
        expect(await found('red sofa', [...retrievers]), `${retrievers} ${killed}`).toEqual(left);
      }
      list = ['car-red'];
      expect(await found('cheap red sofa', [...retrievers])).toEqual(['sofa-red']);
    }
    house.remove('other');
  });

  it('passes on deadlines and departures', async () => {
    const request = {
      query: 'red sofa',
      normalizerVersion: NORMALIZER_VERSION,
      market: 'us',
      locale: 'en',
      plan: { ...BOTH, k: 10, minRelevance: 0 },
      deadlineMs: 0.001,
    };
    await expect(house.retrieval.retrieve(request)).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const signal = AbortSignal.abort(new Error('left'));
    await expect(house.retrieval.retrieve({ ...request, deadlineMs: 1000 }, { signal })).rejects.toThrow('left');
    // What took too long to encode is not searched for any more.
    const encode: typeof house.encoder.encode = async (texts) => {
      for (const until = performance.now() + 2; performance.now() < until; );
      return house.encoder.encode(texts);
    };
    const slow = createRetrieval({
      encoder: { ...house.encoder, encode },
      live: house.live,
      calibration: house.bundle.manifest.calibration,
    });
    await expect(slow.retrieve({ ...request, deadlineMs: 1 })).rejects.toThrow('nothing was searched');
  });

  it('tells the encoder when the answer is due and who may leave, and searches for nobody who left meanwhile', async () => {
    const leaving = new AbortController();
    let given: Parameters<typeof house.encoder.encode>[1];
    const encode: typeof house.encoder.encode = async (texts, options) => {
      given = options;
      leaving.abort(new Error('left meanwhile'));
      return house.encoder.encode(texts);
    };
    const retrieval = createRetrieval({
      ...{ encoder: { ...house.encoder, encode }, live: house.live, calibration: house.bundle.manifest.calibration },
      onConsidered: () => expect.unreachable(),
    });
    const request = {
      ...{ query: 'red sofa', normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 10_000 },
      plan: { ...DENSE, k: 10, minRelevance: 0 },
    };
    const now = () => performance.timeOrigin + performance.now();
    const from = now();
    await expect(retrieval.retrieve(request, { signal: leaving.signal })).rejects.toThrow('left meanwhile');
    expect(given!.signal).toBe(leaving.signal);
    expect(given!.deadlineAtMs).toBeGreaterThanOrEqual(from + 10_000);
    expect(given!.deadlineAtMs).toBeLessThanOrEqual(now() + 10_000);
  });

  it('takes the vector that the caller brings for its own, and refuses one of another student by both names', async () => {
    const { studentSha256 } = house.encoder;
    const { vectors } = await house.encoder.encode(['couch']);
    const request = (
      studentSha256: string,
      values: Float32Array,
      retrievers = DENSE.retrievers as ('dense' | 'lexical')[],
    ) => ({
      query: 'red sofa',
      normalizerVersion: NORMALIZER_VERSION,
      market: 'us',
      locale: 'en',
      plan: { retrievers, k: 10, minRelevance: 0 },
      vector: { studentSha256, values: packFloats(values) },
      deadlineMs: 10_000,
    });
    const { candidates } = await house.retrieval.retrieve(request(studentSha256, vectors[0]!));
    // The keyword that matches best is the words' business.
    const byVector = (list: typeof candidates) => list.map(({ match: _, ...rest }) => rest);
    expect(byVector(candidates)).toEqual(byVector((await house.ask('couch', DENSE)).candidates));

    const other = 'f'.repeat(64);
    for (const retrievers of [DENSE.retrievers, LEXICAL.retrievers]) {
      await expect(house.retrieval.retrieve(request(other, vectors[0]!, retrievers))).rejects.toMatchObject({
        code: 'model_mismatch',
        status: 409,
        message: expect.stringMatching(new RegExp(`expected one of student ${studentSha256} .*, got one of ${other};`)),
      });
    }
    for (const values of [vectors[0]!.slice(1), vectors[0]!.map((value) => 2 * value)])
      await expect(house.retrieval.retrieve(request(studentSha256, values))).rejects.toMatchObject({
        code: 'bad_request',
      });
  });

  it("searches with the teacher's own vector for exactly the head queries, says so and counts it", async () => {
    // One by one: a batch is padded, and padding moves the last bits.
    const [own, couch] = [await house.encoder.encode(['blue kettle']), await house.encoder.encode(['couch'])];
    const seen: Considered[] = [];
    const retrieval = createRetrieval({
      encoder: house.encoder,
      live: house.live,
      calibration: house.bundle.manifest.calibration,
      headQueries: new Map([['red sofa', own.vectors[0]!]]),
      onConsidered: (answer) => seen.push(answer()),
    });
    const request = (query: string, retrievers: Plan['retrievers'] = ['dense']) => ({
      query,
      normalizerVersion: NORMALIZER_VERSION,
      market: 'us',
      locale: 'en',
      plan: { retrievers, k: 10, minRelevance: 0 },
      deadlineMs: 10_000,
    });
    const head = await retrieval.retrieve(request('red sofa'));
    expect(RetrieveResponse.parse(head)).toEqual(head);
    expect(head.encodedBy).toBe('teacher');
    // What the keywords of an ad bid is for the words of the query to say, not for its vector.
    const found = ({ candidates }: RetrieveResponse) => candidates.map(({ adId, sources }) => ({ adId, sources }));
    expect(found(head)).toEqual(found(await house.ask('blue kettle', DENSE)));
    // Also in the place of one that the caller brings.
    const brought = { studentSha256: house.encoder.studentSha256, values: packFloats(couch.vectors[0]!) };
    expect((await retrieval.retrieve({ ...request('red sofa'), vector: brought })).candidates).toEqual(head.candidates);
    const other = await retrieval.retrieve(request('red  sofa'));
    expect(other.encodedBy).toBe('student');
    expect(other.candidates).toEqual((await house.ask('red  sofa', DENSE)).candidates);
    expect((await retrieval.retrieve(request('red sofa', ['lexical']))).encodedBy).toBeUndefined();
    expect(retrieval.stats()).toEqual({ teacher: 2, student: 1, gated: 0 });
    expect(seen.map(({ encodedBy }) => encodedBy)).toEqual(['teacher', 'teacher', 'student', undefined]);
  });

  it('tells all that was considered, with scores and sources, and what of it was returned', async () => {
    const seen: Considered[] = [];
    const retrieval = createRetrieval({
      encoder: house.encoder,
      live: house.live,
      calibration: house.bundle.manifest.calibration,
      onConsidered: (answer) => seen.push(answer()),
    });
    const request = {
      query: 'red sofa',
      normalizerVersion: NORMALIZER_VERSION,
      market: 'us',
      locale: 'en',
      plan: { ...BOTH, k: 3, minRelevance: 0.5 },
      deadlineMs: 10_000,
    };
    const { candidates, generation } = await retrieval.retrieve(request);
    const [{ ads, bestCoverage, ...answer }] = seen as [Considered];
    expect(answer).toEqual({ request, generation, model: 'tiny-1', encodedBy: 'student' });
    expect(ads.filter(({ returned }) => returned).map(({ adId }) => adId)).toEqual(candidates.map(({ adId }) => adId));
    expect(ads).toHaveLength(24);
    for (const { relevance, cosine, coverage } of ads)
      expect(relevance).toBe(
        relevanceOf({ cosine: cosine!, coverage, bestCoverage }, house.bundle.manifest.calibration),
      );
    for (const [i, { adId, sources, relevance }] of candidates.entries())
      expect(ads[i]).toMatchObject({ adId, sources, relevance });
  });

  it('names the model that answers, also where another one takes over meanwhile', async () => {
    const seen: Considered[] = [];
    let model = 'before';
    const encode: typeof house.encoder.encode = (texts) => {
      const encoding = house.encoder.encode(texts);
      model = 'after';
      return encoding;
    };
    const retrieval = createRetrieval({
      encoder: {
        ...house.encoder,
        encode,
        get model() {
          return model;
        },
      },
      live: house.live,
      calibration: house.bundle.manifest.calibration,
      onConsidered: (answer) => seen.push(answer()),
    });
    const request = {
      ...{ query: 'red sofa', normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 10_000 },
      plan: { ...DENSE, k: 10, minRelevance: 0 },
    };
    const answers = [await retrieval.retrieve(request), await retrieval.retrieve(request)];
    expect(answers.map((answer) => answer.model)).toEqual(['before', 'after']);
    expect(seen.map((answer) => answer.model)).toEqual(['before', 'after']);
  });

  it('ranks by another map where the query has a word that nobody asked and some ad has', async () => {
    const { calibration } = house.bundle.manifest;
    const words = { cosine: 0, coverage: 8, bestCoverage: 0, intercept: -4 };
    const retrieval = createRetrieval({
      ...{ encoder: house.encoder, live: house.live, calibration },
      newWords: { of: (query) => terms(query).filter((term) => term !== 'red'), calibration: words },
      onConsidered: (answer) => seen.push(answer()),
    });
    const seen: Considered[] = [];
    const ask = (query: string) =>
      retrieval.retrieve({
        ...{ query, normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en' },
        ...{ plan: { ...BOTH, k: 100, minRelevance: 0 }, deadlineMs: 10_000 },
      });
    await ask('red sofa');
    await ask('red');
    await ask('red couch');
    for (const [i, map] of [words, calibration, calibration].entries())
      for (const { relevance, cosine, coverage } of seen[i]!.ads)
        expect(relevance).toBe(relevanceOf({ cosine: cosine!, coverage, bestCoverage: seen[i]!.bestCoverage }, map));
  });

  it('ends a list by the cosine adapter where the plan asks, and not that of a query with a new word', async () => {
    const cosineAdapter = { cosine: 20, bestCosine: -14, meanCosine: 0, words: 0, intercept: -2 };
    const seen: Considered[] = [];
    const { calibration } = house.bundle.manifest;
    const retrieval = createRetrieval({
      ...{ encoder: house.encoder, live: house.live, calibration, cosineAdapter },
      newWords: { of: (query) => terms(query).filter((term) => term === 'blue'), calibration },
      onConsidered: (answer) => seen.push(answer()),
    });
    const ask = async (query: string, cutOff: { adapterCutOff?: number; k?: number } = {}) => {
      const plan = { ...BOTH, k: 100, minRelevance: 0, ...cutOff };
      const { candidates } = await retrieval.retrieve({
        ...{ query, normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', plan, deadlineMs: 10_000 },
      });
      return candidates.map(({ adId }) => adId);
    };
    const all = await ask('red sofa');
    const [{ ads }] = seen as [Considered];
    const best = queryCosines(
      'red sofa',
      ads.map(({ cosine }) => cosine!),
    );
    const [above, below] = [0.5, 0.05].map((least) =>
      ads.filter(({ cosine }) => adapted(cosine!, best, cosineAdapter) >= least).map(({ adId }) => adId),
    );
    expect(above!.length).toBeGreaterThan(0);
    expect(above!.length).toBeLessThan(below!.length);
    expect(below!.length).toBeLessThan(all.length);
    expect(await ask('red sofa', { adapterCutOff: 0.5 })).toEqual(above);
    expect(await ask('red sofa', { adapterCutOff: 0.05 })).toEqual(below);
    // What is left fills the list: k counts what the cut-off keeps.
    expect(await ask('red sofa', { adapterCutOff: 0.05, k: above!.length + 1 })).toEqual(
      below!.slice(0, above!.length + 1),
    );
    expect(seen.at(-1)!.ads.filter(({ returned }) => returned)).toHaveLength(above!.length + 1);
    expect(await ask('blue sofa', { adapterCutOff: 1 })).toEqual(await ask('blue sofa'));
  });

  it('refuses a plan that asks a bundle for the cosine adapter that it lacks', async () => {
    await expect(house.ask('red sofa', { ...BOTH, adapterCutOff: 0.1 })).rejects.toMatchObject({
      code: 'model_mismatch',
      message: expect.stringContaining('tiny-1 has none; npm run recipe -- calibrate fits one'),
    });
  });

  it('leaves vectors alone where the gate says that words found enough, and only where the plan has a gate', async () => {
    const open = await house.ask('red sofa', { ...BOTH, denseGate: 0 });
    expect(open.candidates).toEqual((await house.ask('red sofa')).candidates);
    const before = house.retrieval.stats().gated;
    const shut = await house.ask('red sofa', { ...BOTH, denseGate: 1 });
    expect(shut).toMatchObject({
      timings: { encodeMs: 0 },
      candidates: (await house.ask('red sofa', LEXICAL)).candidates,
    });
    expect(shut.encodedBy).toBeUndefined();
    expect(house.retrieval.stats().gated).toBe(before + 1);
  });

  it('refuses another normaliser, and a service without a generation', async () => {
    const request = {
      query: 'red sofa',
      normalizerVersion: NORMALIZER_VERSION + 1,
      market: 'us',
      locale: 'en',
      plan: { ...LEXICAL, k: 10, minRelevance: 0 },
      deadlineMs: 1000,
    };
    await expect(house.retrieval.retrieve(request)).rejects.toMatchObject({ code: 'bad_request' });
    const empty = createRetrieval({
      encoder: house.encoder,
      live: new Live(house.encoder),
      calibration: house.bundle.manifest.calibration,
    });
    const right = { ...request, normalizerVersion: NORMALIZER_VERSION };
    await expect(empty.retrieve(right)).rejects.toMatchObject({ code: 'not_ready' });
  });
});
