/** A running backend for tests: the real service in this process, over a small market and a tiny student. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BackendConfig, parseConfig } from '../../gpu-backend/config.ts';
import { type Backend, startBackend } from '../../gpu-backend/main.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { parseKeyRing, signRequest } from '../../shared/signature.ts';
import { NORMALIZER_VERSION } from '../../shared/text.ts';
import { type TinyBundleOptions, tinyBundle } from '../fixtures/tiny-bundle.ts';
import { newDataFolder } from './databases.ts';
import { sampleAd } from './samples.ts';

export const TEST_KEYS = 'test:0123456789abcdef';
const ring = parseKeyRing(TEST_KEYS);

const THINGS = [
  ['sofa', 'couch', 'settee'],
  ['car', 'automobile'],
  ['shoe', 'sneaker', 'trainer'],
  ['lamp', 'light'],
  ['cup', 'mug'],
  ['bike', 'bicycle'],
];
const MAKES = ['red', 'green', 'blue', 'cheap', 'large', 'small'];

/** 36 ads over 6 things; each is worded with the first synonym only. */
export const TEST_ADS: Ad[] = THINGS.flatMap(([thing], i) =>
  MAKES.map((make, j) =>
    sampleAd({
      id: `ad-${i}-${j}`,
      advertiserId: `advertiser-${j}`,
      campaignId: `campaign-${i}`,
      title: `${make} ${thing}`,
      description: `buy a ${make} ${thing} here`,
      keywords: [{ text: `${make} ${thing}`, match: 'broad' }],
      bidMicros: 100_000 * (j + 1),
    }),
  ),
);

export interface TestFolders {
  bundle: string;
  data: string;
  remove(): void;
}

/** A student of the test market's words, in `dir`. */
export async function makeBundle(dir: string, change: Partial<TinyBundleOptions> = {}): Promise<void> {
  await tinyBundle({ dir, synonyms: THINGS, words: [...MAKES, 'buy', 'a', 'here'], ads: TEST_ADS, ...change });
}

export async function makeFolders(change: Partial<TinyBundleOptions> = {}): Promise<TestFolders> {
  const bundle = mkdtempSync(join(tmpdir(), 'harness-bundle-'));
  await makeBundle(bundle, change);
  const data = await newDataFolder();
  return {
    bundle,
    data,
    remove() {
      for (const dir of [bundle, data]) rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function backendEnvironment(folders: TestFolders, change: Record<string, string> = {}): Record<string, string> {
  return {
    PORT: '0',
    HARNESS_DATA: folders.data,
    HARNESS_BUNDLE: folders.bundle,
    HARNESS_KEYS: TEST_KEYS,
    HARNESS_ENCODER_WORKERS: '1',
    LOG_LEVEL: 'silent',
    ...change,
  };
}

export function start(folders: TestFolders, change: Record<string, string> = {}): Promise<Backend> {
  const config: Readonly<BackendConfig> = parseConfig(backendEnvironment(folders, change));
  return startBackend(config);
}

export interface Answer<T> {
  status: number;
  headers: Headers;
  body: T;
}

export interface CallOptions {
  body?: unknown;
  /** Text sent instead of the JSON of `body`. */
  raw?: string | Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  unsigned?: boolean;
  /** Clock of the caller. */
  nowMs?: number;
  nonce?: string;
  /** What is signed, when it is not what is sent. */
  signedBody?: string;
}

/** Calls a backend, signed as the edge does it. */
export async function call<T = Record<string, unknown>>(
  url: string,
  route: `${string} ${string}`,
  options: CallOptions = {},
): Promise<Answer<T>> {
  const [method = '', path = ''] = route.split(' ');
  const sent = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const text = options.signedBody ?? (typeof sent === 'string' ? sent : Buffer.from(sent ?? '').toString());
  const at = { nowMs: options.nowMs ?? Date.now(), nonce: options.nonce ?? crypto.randomUUID() };
  const signature = options.unsigned ? {} : await signRequest(ring, { method, path, body: text }, at);
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      ...signature,
      ...options.headers,
    },
    ...(sent === undefined ? {} : { body: sent }),
  });
  const answer = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(answer) : answer) as T };
}

export function retrieval(query: string, change: Partial<RetrieveRequest> = {}): RetrieveRequest {
  return {
    query,
    normalizerVersion: NORMALIZER_VERSION,
    market: 'us',
    locale: 'en',
    plan: { retrievers: ['dense', 'lexical'], k: 20, minRelevance: 0 },
    deadlineMs: 60_000,
    ...change,
  };
}

/** Puts the test market and publishes it. */
export async function loadTestMarket(url: string): Promise<void> {
  const put = await call<{ accepted: number }>(url, 'POST /v1/ads:batch', { body: { ads: TEST_ADS } });
  if (put.body.accepted !== TEST_ADS.length) throw new Error(JSON.stringify(put.body));
  const built = await call(url, 'POST /v1/generations', { body: { action: 'build' } });
  if (built.status !== 201) throw new Error(JSON.stringify(built.body));
}
