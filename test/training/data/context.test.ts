/** Oracle context: joined in order, for the teacher alone. No path leads from it to what a student reads. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withContext } from '../../../training/data/context.ts';
import { seeded, shuffle } from '../../../training/data/seeded.ts';
import { dealTexts, readPart } from '../../../training/data/texts.ts';
import { targetParts } from '../../../training/phases/prepare.ts';
import { type TeacherText, teacherInput } from '../../../training/teacher/input.ts';
import type { Teacher } from '../../../training/teacher/teacher.ts';

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('withContext', () => {
  const queries = ['a', 'b', 'c', 'd'].map((id) => ({ id }));

  it('gives each query its own context, on one line, and leaves those without as they are', async () => {
    const contexts = [
      { queryId: 'b', text: 'what b\n is\tabout ' },
      { queryId: 'd', text: 'd' },
    ];
    expect(await collect(withContext(each(queries), each(contexts), { maxUnmatched: 0 }))).toEqual([
      { id: 'a' },
      { id: 'b', context: 'what b is about' },
      { id: 'c' },
      { id: 'd', context: 'd' },
    ]);
  });

  it.each([
    ['out of order', ['c', 'b'], 'c'],
    ['of a query that is not there', ['b', 'x'], 'x'],
    ['given twice', ['b', 'b'], 'b'],
  ])('refuses contexts %s, naming the query', async (_, ids, named) => {
    const contexts = ids.map((queryId) => ({ queryId, text: 't' }));
    await expect(collect(withContext(each(queries), each(contexts), { maxUnmatched: 0 }))).rejects.toThrow(
      new RegExp(`context of query ${named}: .* received 1 of 2`),
    );
  });

  it('passes over contexts whose query is a bad row, counts them, and goes on with the next', async () => {
    const [gone, count] = [new Set([0, 1, 500, 4_998, 4_999]), 5_000];
    const ids = Array.from({ length: count }, (_, i) => `q${i}`);
    const there = ids.filter((_, i) => !gone.has(i)).map((id) => ({ id }));
    const contexts = ids.map((queryId) => ({ queryId, text: `of ${queryId}` }));
    const counted: number[] = [];
    const options = { maxUnmatched: 0.001, onUnmatched: (unmatched: number) => counted.push(unmatched) };
    const joined = await collect(withContext(each(there), each(contexts), options));
    expect(joined).toEqual(there.map(({ id }) => ({ id, context: `of ${id}` })));
    expect(counted).toEqual([5]);
  });

  it('notices a file in another order than the queries', async () => {
    const ids = Array.from({ length: 20_000 }, (_, i) => `q${i}`);
    const contexts = shuffle([...ids], seeded('order')).map((queryId) => ({ queryId, text: 't' }));
    const asked = each(ids.map((id) => ({ id })));
    await expect(collect(withContext(asked, each(contexts), { maxUnmatched: 0.5 }))).rejects.toThrow(
      /expected contexts in the order of the queries/,
    );
  });
});

/** A teacher that remembers what it was given. */
function recording(): Teacher & { readonly read: string[] } {
  const read: string[] = [];
  return {
    name: 'recording',
    sha256: '0'.repeat(64),
    dimension: 2,
    license: 'none',
    source: 'test',
    read,
    async encode(texts) {
      read.push(...texts);
      return new Float32Array(texts.length * 2).fill(Math.SQRT1_2);
    },
    async close() {},
  };
}

describe('what reaches the student', () => {
  // Words of context that no query has: any of them in a student's text would show.
  const word = fc.stringMatching(/^[a-m]{1,6}$/);
  const secret = fc.stringMatching(/^[n-z]{1,6}$/);
  const texts = fc.array(
    fc.record(
      { text: fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join(' ')), context: secret },
      { requiredKeys: ['text'] },
    ),
    { minLength: 1, maxLength: 20 },
  );

  it('is the bare query, whatever the context; the teacher reads both', async () => {
    await fc.assert(
      fc.asyncProperty(texts, async (given: readonly TeacherText[]) => {
        const folder = await mkdtemp(join(tmpdir(), 'harness-context-'));
        const teacher = recording();
        const dealt = await dealTexts(each(given), { folder: join(folder, 'texts'), parts: 2 });
        const parts = await targetParts(dealt, { teacher, folder: join(folder, 'targets'), parts: 2 });
        const seen = (await Promise.all(parts.map((part) => part.read()))).flatMap((part) => part.texts);
        await rm(folder, { recursive: true });
        expect(new Set(seen)).toEqual(new Set(given.map(({ text }) => text)));
        for (const text of seen) expect(text).not.toMatch(/[n-z]/);
        expect(new Set(teacher.read)).toEqual(new Set(given.map(teacherInput)));
      }),
      { numRuns: 20 },
    );
  });

  it('keeps every pair of a text and a context once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'harness-context-'));
    const given = [{ text: 'jaguar', context: 'a cat' }, { text: 'jaguar', context: 'a car' }, { text: 'jaguar' }];
    const [part] = await dealTexts(each([...given, ...given]), { folder, parts: 1 });
    expect(await readPart(part!)).toEqual(expect.arrayContaining(given));
    expect(part!.rows).toBe(3);
    await rm(folder, { recursive: true });
  });
});
