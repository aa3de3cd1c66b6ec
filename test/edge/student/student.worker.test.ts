/** The Worker encodes queries itself: the same vectors as the backend's runtime, and never in the way of an answer. */
import { beforeAll, describe, expect, inject, it } from 'vitest';
import type { BundleFiles } from '../../../edge/student/load.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { unpackUnitVector } from '../../../shared/query-vector.ts';
import { edgeUnderTest } from '../under-test.worker.ts';

const url = `${inject('standInUrl')}/student-files`;
const STUDENT: BundleFiles = { fetch: (file) => fetch(`${url}${new URL(file).pathname}`) };
let studentSha256: string;
/** What the backend's runtime makes of some texts. */
let expected: { studentSha256: string; texts: string[]; vectors: number[][] };
beforeAll(async () => {
  expected = await (await fetch(`${url}/expected.json`)).json();
  studentSha256 = expected.studentSha256;
});
const withPlan = (retrievers: ('dense' | 'lexical')[]) => ({
  ...DEFAULT_CONFIG,
  version: 3,
  generation: 7,
  plan: { ...DEFAULT_CONFIG.plan, retrievers },
  experiments: [],
});
const BOTH = withPlan(['dense', 'lexical']);
const ask = (edge: ReturnType<typeof edgeUnderTest>, query: string) => edge.ads(`q=${encodeURIComponent(query)}`);
const health = async (edge: ReturnType<typeof edgeUnderTest>) =>
  ((await (await edge.fetch('/healthz')).json()) as { student?: Record<string, unknown> }).student;

describe('a bound student', () => {
  it('is loaded beside the first request, and then encodes as the backend would', async () => {
    const edge = edgeUnderTest({ STUDENT });
    await edge.backend({ config: BOTH, student: studentSha256 });
    await ask(edge, 'the first query waits for nothing');
    const { texts, vectors } = expected;
    for (const text of texts) expect((await ask(edge, text)).slots.length).toBeGreaterThan(0);
    const { retrieved } = await edge.told();
    expect(retrieved).toHaveLength(1 + texts.length);
    expect(retrieved[0]!.vector).toBeUndefined();
    for (const [i, { vector }] of retrieved.slice(1).entries()) {
      expect(vector!.studentSha256).toBe(studentSha256);
      const made = unpackUnitVector(vector!.values, vectors[i]!.length);
      const cosine = made.reduce((sum, value, j) => sum + value * vectors[i]![j]!, 0);
      expect(cosine, texts[i]).toBeGreaterThan(0.9995);
    }
    expect(await health(edge)).toEqual({ model: 'tiny-1', encoded: texts.length, failed: 0, refused: 0 });
  });

  const named = { ...BOTH, plan: { ...BOTH.plan, model: 'candidate' } };
  it.each([
    ['has no use for a vector', withPlan(['lexical'])],
    ['names a model, whose student is not this one', named],
  ])('says nothing where the plan %s', async (_, config) => {
    const edge = edgeUnderTest({ STUDENT });
    await edge.backend({ config, student: studentSha256 });
    for (const query of ['one', 'two']) await ask(edge, query);
    expect((await edge.told()).retrieved.map(({ vector }) => vector)).toEqual([undefined, undefined]);
  });

  it('is given up when the backend has another one: the request is answered all the same', async () => {
    const edge = edgeUnderTest({ STUDENT });
    await edge.backend({ config: BOTH, student: studentSha256 });
    await ask(edge, 'one');
    await edge.backend({ student: 'f'.repeat(64) });
    expect((await ask(edge, 'two')).slots.length).toBeGreaterThan(0);
    await ask(edge, 'three');
    const sent = (await edge.told()).retrieved.map(({ query, vector }) => [query, vector?.studentSha256]);
    expect(sent).toEqual([
      ['one', undefined],
      ['two', studentSha256],
      ['two', undefined],
      ['three', undefined],
    ]);
    expect(await health(edge)).toEqual({ model: null, encoded: 1, failed: 1, refused: 1 });

    await edge.backend({ student: studentSha256 });
    edge.later(300);
    await ask(edge, 'four');
    expect(await health(edge)).toMatchObject({ model: 'tiny-1' });
  });
});

describe('a student that cannot be loaded', () => {
  const broken: [what: string, files: BundleFiles][] = [
    ['is not there', { fetch: async () => new Response('none', { status: 404 }) }],
    [
      'has a byte that the manifest does not know',
      {
        fetch: async (file) => {
          const bytes = new Uint8Array(await (await fetch(`${url}${new URL(file).pathname}`)).arrayBuffer());
          if (file.endsWith('.onnx')) bytes[bytes.length - 1]! ^= 1;
          return new Response(bytes);
        },
      },
    ],
    [
      'is longer than the manifest says',
      {
        fetch: async (file) => {
          const response = await fetch(`${url}${new URL(file).pathname}`);
          if (!file.endsWith('.onnx')) return response;
          return new Response(new Blob([await response.arrayBuffer(), 'more']));
        },
      },
    ],
  ];
  it.each(broken)('because it %s costs nobody an answer, and is not asked for again at once', async (_, files) => {
    let asked = 0;
    const counted: BundleFiles = {
      fetch: (file) => {
        if (file.endsWith('manifest.json')) asked++;
        return files.fetch(file);
      },
    };
    const edge = edgeUnderTest({ STUDENT: counted });
    await edge.backend({ config: BOTH });
    for (const query of ['one', 'two', 'three']) expect((await ask(edge, query)).slots.length).toBeGreaterThan(0);
    expect((await edge.told()).retrieved.map(({ vector }) => vector)).toEqual([undefined, undefined, undefined]);
    expect(await health(edge)).toEqual({ model: null, encoded: 0, failed: 1, refused: 0 });
    expect(asked).toBe(1);
  });
});

it('without the binding nothing is there: neither a vector nor a line in /healthz', async () => {
  const edge = edgeUnderTest();
  await edge.backend({ config: BOTH });
  for (const query of ['one', 'two']) await ask(edge, query);
  expect((await edge.told()).retrieved.map(({ vector }) => vector)).toEqual([undefined, undefined]);
  expect(await health(edge)).toBeUndefined();
});
