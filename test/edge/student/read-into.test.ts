/** Files read into memory that is there already. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readInto } from '../../../edge/student/read-into.ts';

/** A file of so many bytes, none like its neighbours; it comes in the chunks that the runtime likes. */
const fileOf = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => (i * 31) ^ (i >> 8) ^ (i >> 16));
const bodyOf = (bytes: Uint8Array<ArrayBuffer>) => new Response(new Blob([bytes])).body;

describe('a file read into memory', () => {
  it('is there byte for byte, whatever its length, and nothing beside it is touched', async () => {
    const length = fc.oneof(
      fc.nat({ max: 700_000 }),
      fc.constantFrom(0, 1, 262_143, 262_144, 262_145, 524_287, 524_288, 524_289),
    );
    await fc.assert(
      fc.asyncProperty(length, fc.nat({ max: 9 }), fc.nat({ max: 9 }), async (bytes, before, behind) => {
        const memory = new Uint8Array(before + bytes + behind).fill(7);
        const file = fileOf(bytes);
        await readInto(memory.subarray(before, before + bytes), bodyOf(file), 'a.onnx');
        const expected = [new Uint8Array(before).fill(7), file, new Uint8Array(behind).fill(7)];
        expect(Buffer.compare(memory, Buffer.concat(expected))).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('is refused where it does not fit, and the rest of it is not waited for', async () => {
    let cancelled = false;
    const endless = new ReadableStream({
      type: 'bytes',
      pull: (controller) => controller.enqueue(new Uint8Array(10_000)),
      cancel: () => {
        cancelled = true;
      },
    });
    await expect(readInto(new Uint8Array(300_000), endless, 'a.onnx')).rejects.toMatchObject({
      code: 'bundle_damaged',
      message: 'a.onnx: expected 300000 bytes, got more; deploy the bundle again.',
    });
    expect(cancelled).toBe(true);
  });

  it('leaves the memory as it is where nothing comes', async () => {
    const memory = new Uint8Array(3).fill(7);
    await readInto(memory, null, 'a.onnx');
    await readInto(memory, bodyOf(fileOf(1)), 'a.onnx');
    expect([...memory]).toEqual([0, 7, 7]);
  });
});
