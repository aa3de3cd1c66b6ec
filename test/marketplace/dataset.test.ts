import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type DatasetMeta, type QueryRecord, writeDataset } from '../../marketplace/dataset.ts';
import { createMarket } from '../../marketplace/market.ts';
import { plural } from '../../marketplace/word-forms.ts';
import { findPhrases } from './word-runs.ts';

const market = createMarket({ seed: 7 });
const folder = mkdtempSync(join(tmpdir(), 'market-'));
const meta = writeDataset(folder, { seed: 7, market });
afterAll(() => rmSync(folder, { recursive: true }));

function read<T>(file: string): T[] {
  return readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
const queries = (split: string) => read<QueryRecord>(`queries.${split}.jsonl`);

describe('writeDataset', () => {
  it('writes the files that meta.json lists, and nothing else', () => {
    expect(readdirSync(folder).sort()).toEqual([...Object.keys(meta.files), 'meta.json'].sort());
    expect(JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8')) as DatasetMeta).toEqual(meta);
    for (const [file, { lines }] of Object.entries(meta.files)) expect(read(file)).toHaveLength(lines);
  });

  it('writes the same bytes for the same seed', () => {
    const other = mkdtempSync(join(tmpdir(), 'market-'));
    try {
      expect(writeDataset(other, { seed: 7 })).toEqual(meta);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it('keeps oracle context and judgements out of the queries', () => {
    for (const split of ['train', 'validation', 'test']) {
      const keys = new Set(queries(split).flatMap((query) => Object.keys(query)));
      expect([...keys].sort()).toEqual(['frequency', 'id', 'kind', 'market', 'slice', 'text']);
      expect(read<{ queryId: string }>(`oracle.${split}.jsonl`).map(({ queryId }) => queryId)).toEqual(
        queries(split).map(({ id }) => id),
      );
    }
  });

  it('judges every query of validation and test, with grades 1 to 3 of ads in the catalogue', () => {
    const ads = new Set(read<{ id: string }>('catalogue.jsonl').map(({ id }) => id));
    for (const split of ['validation', 'test']) {
      const qrels = read<{ queryId: string; adId: string; grade: number }>(`qrels.${split}.jsonl`);
      expect(new Set(qrels.map(({ queryId }) => queryId))).toEqual(new Set(queries(split).map(({ id }) => id)));
      expect(qrels.filter(({ adId, grade }) => !ads.has(adId) || ![1, 2, 3].includes(grade))).toEqual([]);
    }
  });

  it('clicks on training queries only, never on ads of held-out concepts', () => {
    const trained = new Set(queries('train').map(({ id }) => id));
    const heldOutAds = new Set(
      market.catalogue.filter(({ conceptId }) => market.heldOut.has(conceptId)).map(({ ad }) => ad.id),
    );
    expect(heldOutAds.size).toBeGreaterThan(1_000);
    const clicks = read<{ queryId: string; adId: string; impressions: number; clicks: number }>('clicks.train.jsonl');
    expect(clicks.filter((row) => !trained.has(row.queryId) || heldOutAds.has(row.adId))).toEqual([]);
    expect(clicks.filter((row) => row.clicks > row.impressions || row.clicks < 0)).toEqual([]);
  });

  it('has general text without names or glosses of held-out concepts', () => {
    const lines = read<{ text: string }>('text.general.jsonl').map(({ text }) => text);
    expect(lines.length).toBeGreaterThanOrEqual(60_000);
    const names = market.heldOut.ids.flatMap((id) => market.concepts.get(id)!.names.map(({ text }) => text));
    expect(findPhrases([...names, ...names.map(plural)], lines)).toEqual([]);
    const glosses = new Set(market.heldOut.ids.map((id) => market.concepts.get(id)!.definition));
    expect(lines.filter((line) => glosses.has(line))).toEqual([]);
    // Not vacuous: WordNet does speak of them.
    const all = [...market.wordNet.synsets.values()].map(({ definition }) => definition);
    expect(findPhrases(names, all).length).toBeGreaterThan(20);
  });

  it('has glosses of words that no training text says and the market does not sell', () => {
    const rows = read<{ gloss: string; lemma: string }>('glosses.jsonl');
    expect(rows).toHaveLength(2_000);
    const lemmas = rows.map(({ lemma }) => lemma);
    expect(new Set(lemmas).size).toBe(2_000);
    const trained = [...queries('train'), ...read<{ text: string }>('text.general.jsonl')].map(({ text }) => text);
    expect(findPhrases(lemmas, trained)).toEqual([]);
    const lines = new Set(trained);
    expect(rows.filter(({ gloss }) => lines.has(gloss))).toEqual([]);
    const names = new Set([...market.concepts.values()].flatMap((concept) => concept.names.map(({ text }) => text)));
    expect(lemmas.filter((lemma) => names.has(lemma))).toEqual([]);
  });
});
