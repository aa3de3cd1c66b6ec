/**
 * A backend that costs next to nothing, as a process of its own: measurements of the edge's own work need one that is never
 * the bottleneck. It answers every query with forty candidates and takes every event; signatures are the real backend's job.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '../../scripts/service.ts';
import type { HeadAds } from '../../shared/contract/head.ts';
import { NEWS_HEADERS } from '../../shared/contract/retrieve.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { LIST } from './stand-in-list.ts';

const CONFIG = { ...DEFAULT_CONFIG, version: 1, generation: LIST.generation };

const HEAD: HeadAds = {
  generation: LIST.generation,
  atMs: Date.now(),
  ads: LIST.candidates.map(({ relevance, sources, ...ad }) => ({
    ...ad,
    keywords: ['running shoes'],
    markets: ['us'],
  })),
};

const ANSWERS: Record<string, string> = {
  '/v1/config': JSON.stringify(CONFIG),
  '/v1/kill-list': JSON.stringify({ version: CONFIG.version, generation: CONFIG.generation, adIds: [] }),
  '/v1/head-ads': JSON.stringify(HEAD),
  '/v1/retrieve': JSON.stringify(LIST),
  '/v1/events:reconcile': JSON.stringify({ missing: [] }),
};

const server = createServer((request, response) => {
  const path = (request.url ?? '').split('?')[0]!;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const stored = () => (JSON.parse(Buffer.concat(chunks).toString()) as { events: unknown[] }).events.length;
    const answer =
      path === '/v1/events' ? JSON.stringify({ stored: stored(), duplicates: 0, rejected: [] }) : ANSWERS[path];
    response
      .writeHead(answer === undefined ? 404 : 200, {
        'content-type': 'application/json',
        [NEWS_HEADERS.configVersion]: String(CONFIG.version),
        [NEWS_HEADERS.generation]: String(CONFIG.generation),
      })
      .end(answer);
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
serve({
  url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  stop: async () => server.closeAllConnections(),
});
