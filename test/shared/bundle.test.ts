import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseManifest, requireSameSpace, spaceIdOf } from '../../shared/bundle.ts';

const identity = {
  teacherSha256: 'a'.repeat(64),
  projection: 'none',
  dimension: 384,
  normalizerVersion: 1,
  queryPrompt: '',
};

test('a space is named by everything that decides what a vector means', async () => {
  const id = await spaceIdOf(identity);
  expect(id).toMatch(/^[0-9a-f]{16}$/);
  expect(await spaceIdOf({ ...identity })).toBe(id);
  for (const change of [
    { teacherSha256: 'b'.repeat(64) },
    { projection: 'p' },
    { dimension: 256 },
    { normalizerVersion: 2 },
    { queryPrompt: 'query: ' },
  ]) {
    expect(await spaceIdOf({ ...identity, ...change })).not.toBe(id);
  }
});

test('vectors of different spaces are refused with both names', () => {
  expect(() =>
    requireSameSpace({ what: 'the encoder', spaceId: 'aaaa' }, { what: 'generation 3', spaceId: 'bbbb' }),
  ).toThrow(/bbbb.*aaaa/);
  expect(() => requireSameSpace({ what: 'x', spaceId: 'aaaa' }, { what: 'y', spaceId: 'aaaa' })).not.toThrow();
});

test('a manifest that is not one is refused in one line', () => {
  for (const json of ['', '{}', '[]', '{"manifestVersion":2}']) {
    expect(() => parseManifest(json, 'models/x')).toThrow(
      /^models\/x: not a bundle manifest \(.*\); publish the bundle again/,
    );
  }
});

test('an fp16 student may lie beside the int8 one', () => {
  const manifest = JSON.parse(readFileSync('models/default/manifest.json', 'utf8')) as Record<string, unknown>;
  const { studentFp16: _, ...without } = manifest;
  expect(parseManifest(JSON.stringify(without), 'models/x').studentFp16).toBeUndefined();
  const studentFp16 = { file: 'student.fp16.onnx', sha256: 'a'.repeat(64), bytes: 1 };
  expect(parseManifest(JSON.stringify({ ...without, studentFp16 }), 'models/x').studentFp16).toEqual(studentFp16);
  expect(() => parseManifest(JSON.stringify({ ...without, studentFp16: 'student.fp16.onnx' }), 'models/x')).toThrow(
    'studentFp16',
  );
});
