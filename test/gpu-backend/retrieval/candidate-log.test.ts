import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CandidateLogOptions, openCandidateLog } from '../../../gpu-backend/retrieval/candidate-log.ts';
import type { Considered } from '../../../gpu-backend/retrieval/retrieve.ts';
import { createRandom } from '../../../marketplace/random.ts';
import { NORMALIZER_VERSION } from '../../../shared/text.ts';
import { testFolder } from '../../fixtures/folder.ts';

const at = testFolder('candidate-log');

const answer = (query: string): Considered => ({
  request: {
    ...{ query, normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 50 },
    plan: { retrievers: ['dense', 'lexical'], k: 1, minRelevance: 0.1 },
  },
  generation: 3,
  model: 'tiny',
  encodedBy: 'student',
  bestCoverage: 1,
  ads: [
    {
      ...{ adId: 'a', relevance: 0.9, cosine: 0.8, coverage: 1, returned: true },
      sources: [
        { retriever: 'dense', rank: 1, score: 0.8 },
        { retriever: 'lexical', rank: 2, score: 4 },
      ],
    },
    {
      ...{ adId: 'b', relevance: 0.05, cosine: undefined, coverage: 0.2, returned: false },
      sources: [{ retriever: 'lexical', rank: 9, score: 1 }],
    },
  ],
});

const open = (dir: string, change: Partial<CandidateLogOptions> = {}) =>
  openCandidateLog({
    ...{ dir, share: 1, now: () => 7, random: () => 0 },
    onError: (error) => {
      throw error;
    },
    ...change,
  });
const rowsOf = async (dir: string, file: string) =>
  (await readFile(join(dir, file), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

describe('the candidate log', () => {
  it('writes every ad with its scores and sources, and the probability of the row', async () => {
    const log = await open(at('rows'), { share: 0.25 });
    log.offer(() => answer('red sofa'));
    await log.close();
    const { request, ads, ...rest } = answer('red sofa');
    const { query, market, locale, plan } = request;
    expect(await rowsOf(at('rows'), 'candidates-1.jsonl')).toEqual([
      JSON.parse(JSON.stringify({ atMs: 7, propensity: 0.25, query, market, locale, plan, ...rest, ads })),
    ]);
    expect(log.stats()).toEqual({ logged: 1, dropped: 0 });
  });

  it('takes the share asked for, and builds nothing of the rest', async () => {
    const random = createRandom(1, 'candidate-log');
    const log = await open(at('share'), { share: 0.1, random: () => random.next() });
    let built = 0;
    for (let i = 0; i < 3_000; i++) {
      log.offer(() => {
        built++;
        return answer(`q${i}`);
      });
      if (i % 500 === 0) await log.close();
    }
    await log.close();
    expect(log.stats()).toEqual({ logged: built, dropped: 0 });
    expect(Math.abs(built - 300)).toBeLessThan(4 * Math.sqrt(3_000 * 0.1 * 0.9));
  });

  it('keeps so many files and goes on behind what is there', async () => {
    const dir = at('bounded');
    for (let run = 0; run < 2; run++) {
      const log = await open(dir, { fileBytes: 2_000, files: 3 });
      for (let i = 0; i < 20; i++) {
        log.offer(() => answer(`${run}-${i}`));
        await log.close();
      }
    }
    const files = (await readdir(dir)).toSorted((a, b) => Number(/\d+/.exec(a)) - Number(/\d+/.exec(b)));
    expect(files).toHaveLength(3);
    const queries = (await Promise.all(files.map((file) => rowsOf(dir, file)))).flat().map(({ query }) => query);
    expect(queries.at(-1)).toBe('1-19');
    expect(queries).toEqual(queries.toSorted((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1])));
  });

  it('leaves out a row in which an earlier run broke off', async () => {
    const dir = at('broken');
    for (const query of ['before', 'after']) {
      const log = await open(dir);
      log.offer(() => answer(query));
      await log.close();
      await appendFile(join(dir, 'candidates-1.jsonl'), '{"atMs":7,"prop');
    }
    await open(dir);
    const rows = await rowsOf(dir, 'candidates-1.jsonl');
    expect(rows.map(({ query }) => query)).toEqual(['before', 'after']);
  });

  it('holds so many bytes, those that are being written among them, however large a row is', async () => {
    const dir = at('large');
    const log = await open(dir, { waitingBytes: 100_000 });
    const large = { ...answer('x'), model: 'm'.repeat(30_000) };
    for (let i = 0; i < 10; i++) log.offer(() => large);
    await log.close();
    expect(log.stats()).toEqual({ logged: 4, dropped: 6 });
    log.offer(() => large);
    await log.close();
    expect(log.stats()).toEqual({ logged: 5, dropped: 6 });
    expect(await rowsOf(dir, 'candidates-1.jsonl')).toHaveLength(5);
  });

  it('drops and counts what it cannot hold or write', async () => {
    const dir = at('dropped');
    const errors: unknown[] = [];
    const log = await open(dir, { fileBytes: 1, waitingBytes: 10_000, onError: (error) => errors.push(error) });
    for (let i = 0; i < 1_500; i++) log.offer(() => answer('x'));
    await log.close();
    expect(log.stats().dropped).toBeGreaterThan(0);
    expect(log.stats().logged + log.stats().dropped).toBe(1_500);
    await rm(dir, { recursive: true });
    await writeFile(dir, 'in the way');
    const { dropped } = log.stats();
    // The first on the turn to the next file, the second in that.
    for (const failures of [1, 2]) {
      log.offer(() => answer('y'));
      await log.close();
      expect([log.stats().dropped, errors.length]).toEqual([dropped + failures, failures]);
    }
  });
});
