import { describe, expect, it } from 'vitest';
import { readUpload } from '../../../gpu-backend/catalogue/upload.ts';
import { sampleAd } from '../../setup/samples.ts';

const SPACE = { spaceId: '0123456789abcdef', dimension: 4 };
const base64 = (values: Int8Array | Int16Array) => Buffer.from(values.buffer).toString('base64');
const sent = (vector: object) => readUpload({ ...sampleAd(), vector: { spaceId: SPACE.spaceId, ...vector } }, SPACE);

describe('a vector that comes with an ad', () => {
  it('is taken in 8 and in 16 bits', async () => {
    const eight = await sent({ int8: base64(Int8Array.of(1, -128, 127, 0)) });
    expect(eight.stored!.vector).toEqual(Int8Array.of(1, -128, 127, 0));
    const sixteen = await sent({ int16: base64(Int16Array.of(1, -32_768, 300, 0)) });
    expect(new Int16Array(sixteen.stored!.vector.slice().buffer)).toEqual(Int16Array.of(1, -32_768, 300, 0));
  });

  it('is refused in any other number of bytes, in both, and in none', async () => {
    await expect(sent({ int8: base64(new Int8Array(8)) })).rejects.toThrow(
      'vector.int8: expected 4 bytes in base64, got 8.',
    );
    await expect(sent({ int16: base64(new Int8Array(4)) })).rejects.toThrow(
      'vector.int16: expected 8 bytes in base64, got 4.',
    );
    const both = { int8: base64(new Int8Array(4)), int16: base64(new Int16Array(4)) };
    await expect(sent(both)).rejects.toMatchObject({ code: 'bad_request' });
    await expect(sent({})).rejects.toMatchObject({ code: 'bad_request' });
  });
});
