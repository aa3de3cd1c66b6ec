import { createHash } from 'node:crypto';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Bundle, loadBundle, verifyFile } from '../../../gpu-backend/encoder/bundle.ts';
import { bundleTokenizer } from '../../../gpu-backend/encoder/tokenize.ts';
import { adTextDigest } from '../../../shared/ad-text.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';

const at = testFolder('bundle');
const ADS = [
  { id: 'a1', title: 'Red sofa', description: 'Soft and wide.', keywords: [] },
  { id: 'a2', title: 'Blue car', description: '', keywords: [] },
];
const FILES = ['student', 'tokenizer', 'spelling', 'ads', 'report'] as const;
const UNHEARD = { cosine: 1, coverage: 8, bestCoverage: -2, intercept: -3 };

async function fresh(name: string): Promise<Bundle> {
  const spelling = { suggested: 'sofa', known: 'blue' };
  return tinyBundle({ dir: at(name), words: ['red', 'sofa', 'blue', 'car'], ads: ADS, spelling });
}

async function flipByte(path: string, position: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[position]! ^= 1;
  await writeFile(path, bytes);
}

it('a file that the disk does not give back is damaged, whatever the disk says', async () => {
  const { dir } = await fresh('unreadable');
  const expected = { file: 'x', bytes: (await stat(dir)).size, sha256: '0'.repeat(64) };
  await expect(verifyFile(dir, expected, 'copy it again')).rejects.toMatchObject({
    code: 'bundle_damaged',
    message: `${dir}: the file cannot be read to its end; copy it again.`,
  });
});

describe('loadBundle', () => {
  it('opens a whole bundle, with the ads and the texts their vectors stand for', async () => {
    const bundle = await fresh('whole');
    const ads = await bundle.readAds();
    expect(ads.ids).toEqual(['a1', 'a2']);
    expect(ads.textDigests).toEqual([await adTextDigest(ADS[0]!), await adTextDigest(ADS[1]!)]);
    expect(ads.vectors).toHaveLength(2 * bundle.manifest.dimension);
  });

  it('reads the head queries as unit vectors, none where there are none, and refuses a flipped byte and another count', async () => {
    expect((await (await fresh('headless')).readHeadQueries()).size).toBe(0);
    const vector = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i) / 4);
    const length = Math.hypot(...vector);
    const dir = at('head');
    const options = {
      dir,
      words: ['red'],
      ads: ADS,
      headQueries: new Map([
        ['red sofa', vector],
        ['car', vector],
      ]),
    };
    const bundle = await tinyBundle(options);
    const head = await bundle.readHeadQueries();
    expect([...head.keys()]).toEqual(['red sofa', 'car']);
    for (const [i, value] of head.get('car')!.entries()) expect(value).toBeCloseTo(vector[i]! / length, 2);

    const path = join(dir, 'head-queries.safetensors');
    await flipByte(path, 200);
    await expect(loadBundle(dir)).rejects.toThrow(`${path}: expected SHA-256`);
    await flipByte(path, 200);
    const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8'));
    manifest.headQueries.count = 3;
    await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest));
    await expect((await loadBundle(dir)).readHeadQueries()).rejects.toMatchObject({
      code: 'bundle_damaged',
      message: `${path}: expected I8 vectors [3, 32] with as many texts, got I8 [2, 32] and 2 texts; restore the folder (git checkout models) or publish it again with npm run recipe.`,
    });
  });

  it('tells new words with slips put right, nothing where it has no list, and refuses a list that is another', async () => {
    expect(await (await fresh('unlisted')).readNewWords()).toBeUndefined();
    const dir = at('listed');
    const spelling = { suggested: 'sofa', known: '' };
    const newWords = { asked: 'red sofa', calibration: UNHEARD };
    const bundle = await tinyBundle({ dir, words: ['red'], ads: ADS, spelling, newWords });
    const { of, calibration } = (await bundle.readNewWords())!;
    expect(calibration).toEqual(UNHEARD);
    expect([of('red sofa'), of('red soffa'), of('red car')]).toEqual([[], [], ['car']]);

    await flipByte(join(dir, 'asked-terms.json'), 12);
    await expect(loadBundle(dir)).rejects.toThrow(`${join(dir, 'asked-terms.json')}: expected SHA-256`);
  });

  it.each(FILES)('refuses one flipped byte in %s, naming the file and the fix', async (part) => {
    const { dir, paths } = await fresh(`flipped-${part}`);
    const { length } = await readFile(paths[part]!);
    for (const position of [0, Math.floor(length / 2), length - 1]) {
      await flipByte(paths[part]!, position);
      await expect(loadBundle(dir)).rejects.toMatchObject({
        code: 'bundle_damaged',
        message: expect.stringMatching(new RegExp(`${paths[part]!}: expected SHA-256 .*; restore the folder`)),
      });
      await flipByte(paths[part]!, position);
    }
    await expect(loadBundle(dir)).resolves.toBeDefined();
  });

  it.each(FILES)('refuses a truncated %s by its size', async (part) => {
    const { dir, paths } = await fresh(`truncated-${part}`);
    const { length } = await readFile(paths[part]!);
    await truncate(paths[part]!, length - 1);
    await expect(loadBundle(dir)).rejects.toThrow(`${paths[part]!}: expected ${length} bytes, got ${length - 1}`);
  });

  it('refuses a missing file, a manifest that is none, and an empty folder', async () => {
    const { dir, paths } = await fresh('holes');
    await rm(paths.tokenizer);
    await expect(loadBundle(dir)).rejects.toThrow(/tokenizer\.json: expected \d+ bytes, the file cannot be read/);
    await writeFile(join(dir, 'manifest.json'), '{"manifestVersion":1}');
    await expect(loadBundle(dir)).rejects.toMatchObject({ code: 'bundle_damaged' });
    await expect(loadBundle(at('nowhere'))).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('no bundle there'),
    });
  });

  describe.each([
    ['asked-terms.json', (bundle: Bundle) => bundle.readNewWords(), 'terms: Invalid input: expected string, received'],
    ['spelling.json', (bundle: Bundle) => bundle.readNewWords(), 'suggested: Invalid input: expected string, received'],
    ['spelling.json', bundleTokenizer, 'suggested: Invalid input: expected string, received'],
    ['tokenizer.json', bundleTokenizer, 'all of it: Invalid input: expected object, received'],
  ])('%s, changed since it was checked', (file, read, mismatch) => {
    it.each([
      ['is gone', undefined, 'expected JSON, the file cannot be read'],
      ['is cut short', '{"terms":\n', 'expected JSON, got "{\\"terms\\":\\n"'],
      ['is something else', file === 'tokenizer.json' ? '[]' : '{"terms":[],"suggested":1}', mismatch],
    ])('is refused in one line where it %s', async (_what, content, reason) => {
      const spelling = { suggested: 'sofa', known: '' };
      const newWords = { asked: 'red sofa', calibration: UNHEARD };
      const bundle = await tinyBundle({ dir: at('json'), words: ['red'], ads: ADS, spelling, newWords });
      const path = join(bundle.dir, file);
      await (content === undefined ? rm(path) : writeFile(path, content));
      const error = await read(bundle).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'bundle_damaged' });
      const { message } = error as Error;
      expect(message.startsWith(`${path}: ${reason}`), message).toBe(true);
      expect(message).toMatch(
        /^[^\n]+; restore the folder \(git checkout models\) or publish it again with npm run recipe\.$/,
      );
    });
  });

  it('refuses ad vectors of another space', async () => {
    const { dir, paths, manifest } = await fresh('space');
    const image = (await readFile(paths.ads)).toString('latin1').replace(manifest.spaceId, '0123456789abcdef');
    await writeFile(paths.ads, image, 'latin1');
    const text = await readFile(join(dir, 'manifest.json'), 'utf8');
    const sha256 = createHash('sha256').update(image, 'latin1').digest('hex');
    await writeFile(join(dir, 'manifest.json'), text.replace(manifest.ads.sha256, sha256));
    const bundle = await loadBundle(dir);
    await expect(bundle.readAds()).rejects.toMatchObject({
      code: 'space_mismatch',
      message: expect.stringContaining('0123456789abcdef'),
    });
  });
});
