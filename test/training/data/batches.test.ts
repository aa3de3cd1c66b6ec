/** Batching and dealing: nothing lost, nothing twice, the same each time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lengthBatches } from '../../../training/data/batches.ts';
import { seeded } from '../../../training/data/seeded.ts';
import { dealTexts, readPart } from '../../../training/data/texts.ts';

describe('lengthBatches', () => {
  it('uses each row at most once, fills every batch, and leaves less than one batch over', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 200 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 5 }),
        (lengths, batch, window) => {
          const batches = lengthBatches(lengths, { batch, window, random: seeded(1) });
          const used = batches.flat();
          expect(batches.every((members) => members.length === batch)).toBe(true);
          expect(new Set(used).size).toBe(used.length);
          expect(lengths.length - used.length).toBeLessThan(batch);
          expect(lengthBatches(lengths, { batch, window, random: seeded(1) })).toEqual(batches);
        },
      ),
    );
  });

  it('pads less than batches in random order would', () => {
    const random = seeded('lengths');
    const lengths = Array.from({ length: 4096 }, () => 3 + Math.floor(random() ** 3 * 40));
    const padded = (batches: number[][]) =>
      batches.reduce((sum, rows) => sum + Math.max(...rows.map((i) => lengths[i]!)), 0);
    const sorted = lengthBatches(lengths, { batch: 64, window: 16, random: seeded(1) });
    const mixed = lengthBatches(lengths, { batch: 64, window: 1, random: seeded(1) });
    expect(padded(sorted)).toBeLessThan(padded(mixed) * 0.6);
  });
});

describe('dealTexts', () => {
  const deal = async (texts: readonly string[], parts = 4) => {
    const folder = await mkdtemp(join(tmpdir(), 'harness-texts-'));
    const stream = (async function* () {
      for (const text of texts) yield { text };
    })();
    const dealt = await dealTexts(stream, { folder, parts });
    const result = (await Promise.all(dealt.map(readPart))).map((part) => part.map(({ text }) => text));
    await rm(folder, { recursive: true });
    expect(dealt.map(({ rows }) => rows)).toEqual(result.map((part) => part.length));
    return result;
  };

  it('keeps each text once and does not depend on the order they came in', async () => {
    const texts = Array.from({ length: 500 }, (_, i) => `text ${i % 400}`);
    const parts = await deal(texts);
    expect(parts.flat().sort()).toEqual([...new Set(texts)].sort());
    expect(await deal(texts.toReversed())).toEqual(parts);
    for (const part of parts) expect(part.length).toBeGreaterThan(60);
  });
});
