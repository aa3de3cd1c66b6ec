import { rm } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../../shared/safetensors.ts';
import type { RecipeContext } from '../../../training/context.ts';
import { vectorFolder } from '../../../training/phases/prepare.ts';
import { headQueries } from '../../../training/stages/head-queries.ts';
import type { Teacher } from '../../../training/teacher/teacher.ts';

const SHA256 = 'test-head-queries';
afterAll(() => rm(vectorFolder(SHA256), { recursive: true, force: true }));

const query = (id: string, text: string, frequency: number) => ({
  ...{ id, text, market: 'us', frequency, kind: 'name' },
  slice: 'interpolation' as const,
});
const ROWS: Record<string, unknown[]> = {
  'queries.train.jsonl': [
    query('1', 'Red  Sofa', 5),
    query('2', 'car', 9),
    query('3', 'asked in tests', 99),
    query('4', 'lamp', 1),
    query('5', 'red sofa', 7),
    query('6', 'kettle', 3),
  ],
  'oracle.train.jsonl': [
    { queryId: '2', text: 'automobile' },
    { queryId: '5', text: 'couch' },
  ],
  'queries.validation.jsonl': [],
  'queries.test.jsonl': [query('t', 'tests in asked', 1)],
};

async function made(count: number, readsContext = true) {
  const asked: string[] = [];
  const teacher: Teacher = {
    ...{ name: 'test', sha256: SHA256, dimension: 2, license: 'none', source: 'test' },
    async encode(texts) {
      asked.push(...texts);
      return Float32Array.from(texts.flatMap((text) => (text.includes('. ') ? [0, 1] : [0.6, 0.8])));
    },
    close: async () => {},
  };
  const context = {
    config: {
      export: { headQueries: count },
      teacher: { context: readsContext },
      data: { parts: 2, maxBadShare: 0 },
    },
    dataset: {
      async *read(file: string) {
        yield* ROWS[file]!;
      },
    },
    say: () => {},
  } as unknown as RecipeContext;
  const made = await headQueries(context, { teacher, spaceId: 'space' });
  await rm(vectorFolder(SHA256), { recursive: true, force: true });
  return { ...made, asked };
}

describe('head queries', () => {
  it('are the most asked of the log, normalized, each once, and none that is asked in a test', async () => {
    const { headQueries: head, asked } = await made(3);
    const { tensors, metadata } = readSafetensors(head!.file);
    expect(new TextDecoder().decode(tensors.get('texts')!.data).split('\n')).toEqual(['car', 'red sofa', 'kettle']);
    expect(head!.count).toBe(3);
    expect(metadata).toEqual({ spaceId: 'space' });
    // What the teacher really reads: context where there is one.
    expect(asked.toSorted()).toEqual(['car. automobile', 'kettle', 'red sofa. couch']);
    expect([...new Int8Array(tensors.get('vectors')!.data)]).toEqual([0, 127, 0, 127, 95, 127]);
  });

  it('are bare where the teacher reads no context, and none where none are wanted', async () => {
    expect((await made(2, false)).asked.toSorted()).toEqual(['car', 'red sofa']);
    expect((await made(0)).headQueries).toBeUndefined();
  });
});
