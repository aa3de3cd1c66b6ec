/** Vectors on disk: formats, ranges, sides, and what is wrong with a folder said in one line. */
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { dump } from 'npyjs';
import { describe, expect, it } from 'vitest';
import { type SafeTensor, writeSafetensors } from '../../../shared/safetensors.ts';
import { VectorStore } from '../../../training/teacher/targets.ts';
import { TextRows } from '../../../training/teacher/text-rows.ts';
import { vectorFileTeacher } from '../../../training/teacher/vector-files.ts';
import { openMatrix } from '../../../training/teacher/vector-matrix.ts';
import { testFolder } from '../../fixtures/folder.ts';

const path = testFolder('vector-files');
let folders = 0;
async function place(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = path(`${folders++}`);
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) await writeFile(`${folder}/${name}`, content);
  return folder;
}
const npy = (values: readonly number[], shape: number[]) => new Uint8Array(dump(Float32Array.from(values), shape));
const refused = async (files: Readonly<Record<string, string | Uint8Array>>) => {
  const error = await vectorFileTeacher(await place(files)).then(
    () => expect.unreachable(),
    (reason: Error) => reason,
  );
  expect(error.message).not.toContain('\n');
  return error.message;
};

/** What NumPy writes: magic, version 1.0, a header padded to 64 bytes. */
function npyFile(description: string, data: Uint8Array): Uint8Array {
  const header = `${description}${' '.repeat((64 - ((10 + description.length + 1) % 64)) % 64)}\n`;
  const preamble = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length & 0xff, header.length >> 8]);
  return Buffer.concat([preamble, Buffer.from(header), data]);
}
const described = (dtype: string, order = 'False', shape = '(2, 2)') =>
  `{'descr': '${dtype}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
/** 3, 4, 5 and 12: the rows at length 1 are 0.6, 0.8 and 5/13, 12/13. */
const HALVES = new Uint8Array(Uint16Array.of(0x4200, 0x4400, 0x4500, 0x4a00).buffer);

describe('formats', () => {
  const two = async (files: Readonly<Record<string, string | Uint8Array>>) => {
    const teacher = await vectorFileTeacher(await place(files));
    const vectors = await teacher.encode(['b', 'a'], { role: 'query' });
    await teacher.close();
    for (const [i, value] of [5 / 13, 12 / 13, 0.6, 0.8].entries()) expect(vectors[i]).toBeCloseTo(value, 6);
  };
  const floats = [3, 4, 5, 12];
  const texts = { 'v.txt': 'a\nb\n' };
  const tensors = (vectors: SafeTensor, rest: readonly (readonly [string, SafeTensor])[] = []) =>
    writeSafetensors({ tensors: new Map([['vectors', vectors], ...rest]), metadata: {} });

  it('reads float32, float64 and float16 of npy', async () => {
    await two({ 'v.npy': npyFile(described('<f4'), new Uint8Array(Float32Array.from(floats).buffer)), ...texts });
    await two({ 'v.npy': npyFile(described('<f8'), new Uint8Array(Float64Array.from(floats).buffer)), ...texts });
    await two({ 'v.npy': npyFile(described('<f2'), HALVES), ...texts });
  });

  it('reads float32 and float16 of safetensors, texts beside', async () => {
    const stored = new Uint8Array(Float32Array.from(floats).buffer);
    await two({ 'v.safetensors': tensors({ dtype: 'F32', shape: [2, 2], data: stored }), ...texts });
    await two({ 'v.safetensors': tensors({ dtype: 'F16', shape: [2, 2], data: HALVES }), ...texts });
  });

  it('reads texts from lines of either system and from JSON Lines', async () => {
    const matrix = npy(floats, [2, 2]);
    await two({ 'v.npy': matrix, 'v.txt': 'a\r\nb' });
    await two({ 'v.npy': matrix, 'v.jsonl': '{"text": "a", "id": 7}\n{"text": "b"}\n' });
  });

  it('reads what the store of teacher vectors wrote, texts within', async () => {
    const folder = await place({});
    const store = new VectorStore({ folder, dimension: 2 });
    await store.prepare(
      { index: 0, texts: ['a', 'b'] },
      async () => Float32Array.from(floats),
      () => {},
    );
    const teacher = await vectorFileTeacher(folder);
    const vectors = await teacher.encode(['a'], { role: 'document' });
    expect(vectors[0]).toBeCloseTo(0.6, 6);
    await teacher.close();
  });
});

it('reads any rows, in any order, from among many', async () => {
  const [rows, dimension] = [600, 1024];
  const values = Float32Array.from({ length: rows * dimension }, (_, i) => i);
  const folder = await place({ 'v.npy': new Uint8Array(dump(values, [rows, dimension])) });
  const matrix = await openMatrix(`${folder}/v.npy`);
  const row = fc.integer({ min: 0, max: rows - 1 });
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 40 }), row, async (some, from) => {
      // Scattered rows, and a run of neighbours: 256 of them fill one read.
      const wanted = [...some, ...Array.from({ length: Math.min(300, rows - from) }, (_, i) => from + i)];
      const found = await matrix.read(wanted);
      expect(found).toHaveLength(wanted.length * dimension);
      for (const [at, asked] of wanted.entries()) {
        expect(found[at * dimension]).toBe(asked * dimension);
        expect(found[(at + 1) * dimension - 1]).toBe((asked + 1) * dimension - 1);
      }
    }),
    { numRuns: 20, examples: [[[3, 3, 599], 10]] },
  );
  await matrix.close();
});

it('knows the row of each text, of one twice the first, and of no other', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 6 })), fc.string(), (texts, other) => {
      const rows = new TextRows(texts.length);
      for (const [row, text] of texts.entries()) rows.add(text, row);
      for (const text of [...texts, other]) {
        const first = texts.indexOf(text);
        expect(rows.get(text)).toBe(first === -1 ? undefined : first);
      }
    }),
  );
});

describe('texts and sides', () => {
  const folder = () =>
    place({
      'queries.npy': npy([1, 0, 0, 1], [2, 2]),
      'queries.txt': 'sock\nred sock\n',
      'documents-1.npy': npy([0, -1], [1, 2]),
      'documents-1.txt': 'sock\n',
      'documents-2.npy': npy([-1, 0], [1, 2]),
      'documents-2.txt': 'belt\n',
    });

  it('gives a text the vector of the side it stands on', async () => {
    const teacher = await vectorFileTeacher(await folder());
    expect([...(await teacher.encode(['sock'], { role: 'query' }))]).toEqual([1, 0]);
    expect([...(await teacher.encode(['belt', 'sock'], { role: 'document' }))]).toEqual([-1, 0, 0, -1]);
    await teacher.close();
  });

  it('names what is missing, up front and when it is asked for', async () => {
    const teacher = await vectorFileTeacher(await folder());
    expect(teacher.missing(['sock', 'belt', 'shoe', 'belt'], 'query')).toEqual(['belt', 'shoe']);
    expect(teacher.missing(['sock', 'belt'], 'document')).toEqual([]);
    const asked = teacher.encode(['sock', 'belt', 'shoe'], { role: 'query' });
    await expect(asked).rejects.toMatchObject({ code: 'not_found' });
    await expect(asked).rejects.toThrow("one for each query, found none for 'belt', nor for 1 more of 3");
    await teacher.close();
  });

  it('refuses a row that is no direction, with its text', async () => {
    const files = { 'v.npy': npy([1, 0, 0, 0, Number.NaN, 1], [3, 2]), 'v.txt': 'a\nb\nc\n' };
    const teacher = await vectorFileTeacher(await place(files));
    await teacher.encode(['a'], { role: 'query' });
    await expect(teacher.encode(['b'], { role: 'query' })).rejects.toThrow("in row 1 ('b')");
    await expect(teacher.encode(['c'], { role: 'query' })).rejects.toThrow("in row 2 ('c')");
    await teacher.close();
  });
});

describe('refuses a folder', () => {
  const matrix = npy([1, 0, 0, 1], [2, 2]);

  it('that is not there, or has no vectors', async () => {
    await expect(vectorFileTeacher(path('nowhere'))).rejects.toThrow('nowhere: expected a folder with vectors');
    expect(await refused({ 'v.txt': 'a\n' })).toContain('found none');
  });

  it('whose texts are not there, not as many, or not texts', async () => {
    expect(await refused({ 'v.npy': matrix })).toContain('v.npy: expected its texts beside it');
    expect(await refused({ 'v.npy': matrix, 'v.txt': 'a\n' })).toContain('each of its 2 rows, found 1');
    expect(await refused({ 'v.npy': matrix, 'v.txt': 'a\nb\nc\n' })).toContain('each of its 2 rows, found 3');
    expect(await refused({ 'v.npy': matrix, 'v.jsonl': '{"text": "a"}\n{"query": "b"}\n' })).toContain('v.jsonl:2');
  });

  it('whose matrices differ in dimension', async () => {
    const files = { 'a.npy': matrix, 'a.txt': 'a\nb\n', 'b.npy': npy([1, 2, 3], [1, 3]), 'b.txt': 'c\n' };
    expect(await refused(files)).toMatch(/b\.npy: expected vectors of 2 dimensions as in .*a\.npy, found 3/);
  });

  it('whose file is damaged, cut short, or of another kind', async () => {
    const data = new Uint8Array(16);
    const texts = { 'v.txt': 'a\nb\n' };
    expect(await refused({ 'v.npy': 'not at all a matrix', ...texts })).toContain('not an .npy file');
    expect(await refused({ 'v.npy': npyFile(described('<f4', 'True'), data), ...texts })).toContain('Fortran order');
    expect(await refused({ 'v.npy': npyFile(described('<i4'), data), ...texts })).toContain('float32 or float64');
    expect(await refused({ 'v.npy': npyFile(described('>f4'), data), ...texts })).toContain('>f4');
    expect(await refused({ 'v.npy': npyFile(described('<f4', 'False', '(4,)'), data), ...texts })).toContain(
      '[rows, dim',
    );
    expect(await refused({ 'v.npy': matrix.subarray(0, -1), ...texts })).toContain('needs 16 bytes');
    expect(await refused({ 'v.safetensors': 'not at all a matrix', ...texts })).toContain(
      'bytes from 8 on, the file has 19',
    );
    const folder = await place({ 'v.npy': matrix, ...texts });
    await truncate(`${folder}/v.npy`, 20);
    await expect(vectorFileTeacher(folder)).rejects.toThrow('the file has 20');
  });
});
