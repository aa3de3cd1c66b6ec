/**
 * kill -9 of a process that publishes generation after generation, at random moments: each next process must find the
 * generation that was last said to be published or the one that was on its way, whole and of one piece.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandom } from '../../marketplace/random.ts';
import { publishUntil, wrongWith } from '../../test/fixtures/killed-publisher.ts';
import { smallBundle } from '../../test/fixtures/small-house.ts';
import { bounded, type Row } from '../row.ts';

export async function killRows({ kills, say }: { kills: number; say: (line: string) => void }): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'harness-kill-'));
  const [bundleDir, dataDir] = [join(dir, 'bundle'), join(dir, 'data')];
  const random = createRandom(1, 'kill');
  /** How long a publication takes here, from the first life on. */
  let publicationMs = 0;
  let said = 0;
  const wrong: string[] = [];
  const left = { old: 0, new: 0 };
  try {
    await smallBundle(bundleDir);
    for (let kill = -1; kill <= kills; kill++) {
      // The first life measures, the last one only looks.
      let began = 0;
      const { found, said: now } = await publishUntil({
        bundleDir,
        dataDir,
        said,
        until: (message, end) => {
          if (message.kind === 'started') began = performance.now();
          if (kill === -1 && message.kind === 'published') {
            publicationMs = performance.now() - began;
            end();
          }
          if (message.kind !== 'started' || kill === -1) return;
          if (kill === kills) end();
          else setTimeout(end, random.next() * 1.5 * publicationMs);
        },
      });
      for (const what of wrongWith(found, said)) wrong.push(`life ${kill + 1}: ${what}`);
      if (kill > 0) left[found.number === said ? 'old' : 'new']++;
      said = Math.max(now, found.number ?? 0);
      if (kill % 10 === 9) say(`${kill + 1} kills`);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  for (const what of wrong) say(what);
  return [
    bounded(`${kills} kills -9 of a publication: generations mixed, damaged or lost`, wrong.length, 'lives', ['<=', 0]),
    { metric: 'the generation said last was there', value: left.old, unit: 'lives' },
    { metric: 'the one on its way was already there', value: left.new, unit: 'lives' },
  ];
}
