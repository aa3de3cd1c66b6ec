/**
 * The lexical retriever as catalogues grow: what its lists take to build and to hold, how long opening them holds the
 * thread, and what a query takes.
 */
import { LexicalIndex } from '../../gpu-backend/retrieval/lexical.ts';
import { LexicalSegmentBuilder, readSegment } from '../../gpu-backend/retrieval/lexical-segment.ts';
import { indexedAd } from '../../gpu-backend/retrieval/lexical-terms.ts';
import type { Row } from '../row.ts';
import { benchAdCount, benchAds } from './ads.ts';

/** Hits that retrieval asks for. */
const LIMIT = 100;

export async function lexicalRows(options: { sizes?: number[]; say: (line: string) => void }): Promise<Row[]> {
  const { sizes = [27_315, 100_000, benchAdCount()], say } = options;
  const { market, ads } = await benchAds(Math.max(...sizes));
  const queries = market.queries.test.filter((_, i) => i % 4 === 0).map(({ normalized }) => normalized);
  const rows: Row[] = [];
  for (const size of [...new Set(sizes)].sort((a, b) => a - b)) {
    say(`words: ${size} ads`);
    let beganAt = performance.now();
    const lists = new LexicalSegmentBuilder();
    for (let row = 0; row < size; row++) lists.add(indexedAd(ads[row]!));
    const image = lists.image();
    const buildSeconds = (performance.now() - beganAt) / 1_000;
    beganAt = performance.now();
    const index = new LexicalIndex(readSegment(image, 'bench'));
    const openMs = performance.now() - beganAt;
    const search = (query: string) =>
      index.search(query, {
        limit: LIMIT,
        accept: (slot) => ads[slot]!.status === 'active',
        tieKey: (slot) => ads[slot]!.id,
      });
    for (const query of queries.slice(0, 100)) search(query);
    const times = queries.map((query) => {
      const startedAt = performance.now();
      search(query);
      return performance.now() - startedAt;
    });
    times.sort((a, b) => a - b);
    const at = (share: number) => times[Math.floor(share * times.length)]!;
    const of = `words, ${size} ads`;
    rows.push(
      { metric: `${of}: build of the lists`, value: buildSeconds, unit: 's' },
      { metric: `${of}: the lists`, value: image.length / 1e6, unit: 'MB' },
      { metric: `${of}: thread held to open them`, value: openMs, unit: 'ms' },
      { metric: `${of}: p50 of a query`, value: at(0.5), unit: 'ms' },
      { metric: `${of}: p99 of a query`, value: at(0.99), unit: 'ms' },
    );
  }
  return rows;
}
