import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sixteenBits } from '../../../gpu-backend/index/vector-rows.ts';
import { normalize } from '../../../shared/text.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallHouse } from '../../fixtures/small-house.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('vectors');
let house: SmallHouse;

beforeAll(async () => {
  house = await smallHouse({ bundle: await smallBundle(at('bundle')), dataDir: at('data') });
});
afterAll(() => house.close());

describe('the ladder of an ad vector', () => {
  it('prefers the upload, then the bundle while the text is the one embedded, then the student, and counts them', async () => {
    const { ad } = house.catalogue.get('sofa-red')!;
    const uploaded = new Int8Array(house.encoder.dimension).fill(7);
    const reworded = { ...ad, title: 'green sofa' };
    const repriced = { ...ad, bidMicros: 1 };
    const unknown = sampleAd({ id: 'unknown', title: 'red sofa', description: ad.description });
    const vectors = await house.ladder.resolve([
      { ad, uploaded },
      { ad },
      { ad: repriced },
      { ad: reworded },
      { ad: unknown },
    ]);
    expect(vectors.map(({ source }) => source)).toEqual(['uploaded', 'bundle', 'bundle', 'student', 'student']);
    expect(vectors[0]!.components).toBe(uploaded);
    const ads = await house.bundle.readAds();
    const row = ads.ids.indexOf('sofa-red');
    expect(vectors[1]!.components).toEqual(ads.vectors.subarray(row * ads.dimension, (row + 1) * ads.dimension));
    const [student] = (await house.encoder.encode([normalize('green sofa')])).vectors;
    expect(vectors[3]!.components).toEqual(sixteenBits(student!));
    expect(house.ladder.counts()).toEqual({ uploaded: 1, bundle: 2, student: 2 });
  });

  it('reads a title as a query is read', async () => {
    const loud = sampleAd({ id: 'loud', title: 'ＲＥＤ  Sofa' });
    const [vector] = await house.ladder.resolve([{ ad: loud }]);
    const [student] = (await house.encoder.encode(['red sofa'])).vectors;
    expect(vector).toEqual({ components: sixteenBits(student!), source: 'student' });
  });

  it('takes the vectors of a bundle from when it is adopted', async () => {
    const { ad } = house.catalogue.get('sofa-red')!;
    const ads = await house.bundle.readAds();
    const [before] = await house.ladder.resolve([{ ad }]);
    house.ladder.adopt({ ...ads, vectors: ads.vectors.map((value) => -value) });
    const [after] = await house.ladder.resolve([{ ad }]);
    expect(after!.components).toEqual(before!.components.map((value) => -value));
    house.ladder.adopt({ ...ads, ids: ads.ids.map((id) => (id === ad.id ? 'another' : id)) });
    expect((await house.ladder.resolve([{ ad }]))[0]!.source).toBe('student');
    house.ladder.adopt(ads);
  });

  it('reports progress to the last one, and stops when told to', async () => {
    const ads = Array.from({ length: 40 }, (_, i) => ({ ad: sampleAd({ id: `u${i}` }) }));
    const steps: number[] = [];
    await house.ladder.resolve(ads, { onProgress: (done, total) => steps.push(done / total) });
    expect([steps[0], steps.at(-1)]).toEqual([0, 1]);
    const stop = new AbortController();
    const resolving = house.ladder.resolve(ads, {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await expect(resolving).rejects.toThrow('enough');
  });

  it('lets others run between uploads, however many they are', async () => {
    const uploaded = new Int8Array(house.encoder.dimension).fill(7);
    const ads = Array.from({ length: 2_000 }, (_, i) => ({ ad: sampleAd({ id: `many${i}` }), uploaded }));
    let turns = 0;
    const count = () => void (++turns < 1_000 && setImmediate(count));
    setImmediate(count);
    await house.ladder.resolve(ads);
    expect(turns).toBeGreaterThan(4);
  });

  it('reads an upload of 16 bits a component, wherever its bytes begin', async () => {
    const components = Int16Array.from({ length: house.encoder.dimension }, (_, i) => 300 * i - 5000);
    const bytes = Buffer.concat([Buffer.from([0]), Buffer.from(components.buffer)]).subarray(1);
    const uploaded = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [vector] = await house.ladder.resolve([{ ad: sampleAd({ id: 'fine' }), uploaded }]);
    expect(vector).toEqual({ components, source: 'uploaded' });
  });

  it('refuses an upload of another dimension', async () => {
    const wrong = { ad: sampleAd({ id: 'wrong' }), uploaded: new Int8Array(3) };
    await expect(house.ladder.resolve([wrong])).rejects.toMatchObject({
      code: 'bad_request',
      message: 'ad wrong: expected a vector of 32 int8 or int16, got 3 bytes.',
    });
  });
});
