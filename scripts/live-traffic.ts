/** People at the local edge until told to stop, as a child of the local system. Setting: EDGE_URL. */
import { exitWith } from '../gpu-backend/command-line.ts';
import { LIVE_RATE } from '../marketplace/traffic.ts';
import { runTraffic } from '../marketplace/traffic-run.ts';
import { serve } from './service.ts';

/** A few crawlers, as there are everywhere. */
const CRAWLERS = 0.03;

const controller = new AbortController();
const { EDGE_URL: edge = 'http://127.0.0.1:8787' } = process.env;
try {
  // Other people every time, so that a restart does not ask the same again.
  const seed = Math.floor(Date.now() / 1_000);
  const traffic = runTraffic({
    edge,
    queries: undefined,
    seed,
    rate: LIVE_RATE,
    crawlers: CRAWLERS,
    signal: controller.signal,
  });
  traffic.catch(exitWith);
  serve({
    url: edge,
    async stop() {
      controller.abort();
      const { requests, clicks } = await traffic;
      return { requests, clicks };
    },
  });
} catch (error) {
  exitWith(error);
}
