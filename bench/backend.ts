/** The backend's measurements, each in a file of bench/backend/; `--only NAME` makes one of them. */
import { benchAdCount } from './backend/ads.ts';
import { churnRows } from './backend/churn.ts';
import { encoderRows } from './backend/encoder.ts';
import { eventRows } from './backend/events.ts';
import { footprintRows } from './backend/footprint.ts';
import { growthRows } from './backend/growth.ts';
import { indexRows } from './backend/index.ts';
import { ingestKillRows } from './backend/ingest-kill.ts';
import { killRows } from './backend/kill.ts';
import { lexicalRows } from './backend/lexical.ts';
import { reductionRows } from './backend/reductions.ts';
import { retrieveRows } from './backend/retrieve.ts';
import { scanRows } from './backend/scan.ts';
import { inParts } from './parts.ts';
import type { Bench, Row } from './row.ts';
import { sizeFrom } from './size.ts';

type Part = (options: { quick: boolean; say: (line: string) => void }) => Promise<Row[]>;

/** Ads of a quick measurement, unless the environment says. */
const quickAds = () => sizeFrom('HARNESS_BENCH_ADS', 50_000);

/** In the order of their rows. */
const PARTS: Record<string, Part> = {
  encoder: ({ quick, say }) => encoderRows({ seconds: quick ? 3 : 8, turns: quick ? 1 : 5, say }),
  events: ({ quick, say }) => eventRows({ pages: quick ? 10_000 : 50_000, turns: quick ? 3 : 5, say }),
  'ingest-kill': ({ quick, say }) => ingestKillRows({ kills: quick ? 8 : 50, say }),
  words: ({ quick, say }) => lexicalRows({ ...(quick ? { sizes: [27_315, quickAds()] } : {}), say }),
  retrieve: ({ quick, say }) => retrieveRows({ ...(quick ? { ads: quickAds() } : {}), seconds: quick ? 10 : 40, say }),
  footprint: ({ quick, say }) => footprintRows({ ads: quick ? quickAds() : benchAdCount(), say }),
  index: ({ quick, say }) => indexRows({ ads: quick ? quickAds() : benchAdCount(), quick, say }),
  growth: ({ quick, say }) =>
    growthRows({
      most: quick ? Math.min(100_000, benchAdCount()) : benchAdCount(),
      turns: quick ? 3 : 10,
      ...(quick ? {} : { svg: 'bench/results/backend-growth.svg' }),
      say,
    }),
  scan: ({ quick, say }) =>
    scanRows({ sizes: quick ? [30_000] : [30_000, benchAdCount()], seconds: quick ? 1 : 4, say }),
  reductions: ({ say }) => reductionRows({ ads: Math.min(20_000, benchAdCount()), say }),
  churn: ({ quick, say }) =>
    churnRows({ ads: Math.min(quick ? 20_000 : 100_000, benchAdCount()), seconds: quick ? 3 : 10, say }),
  kill: ({ quick, say }) => killRows({ kills: quick ? 8 : 50, say }),
};

export const backend = inParts(
  Object.fromEntries(
    Object.entries(PARTS).map(([name, part]): [string, Bench] => [
      name,
      async (options) => ({ rows: await part(options) }),
    ]),
  ),
);
