/** The Worker's bindings, checked once per isolate and frozen. */
import * as z from 'zod';
import { MAX_DEADLINE_MS } from '../shared/contract/retrieve.ts';
import { HarnessError } from '../shared/problem.ts';
import { type KeyRing, parseKeyRing } from '../shared/signature.ts';
import type { EntryNamespace } from './cache/kv.ts';
import type { ObjectNamespace } from './outbox/outboxes.ts';
import type { BundleFiles } from './student/load.ts';

/** As much of a Queue binding as the edge uses. */
export interface EventQueue {
  send(message: string, options: { contentType: 'text' }): Promise<unknown>;
}

/** As much of a rate-limit binding as the edge uses. */
export interface RateLimit {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** What wrangler.toml, its secrets and the local runner provide. */
export interface EdgeBindings {
  EVENTS: EventQueue;
  /** Keeps events that the queue does not take, and the ids issued. */
  OUTBOX: ObjectNamespace;
  /** Asks the backend for the kill list in the name of all isolates; without it each asks for itself. */
  KILL_LIST?: ObjectNamespace;
  /** Lists of head queries for all data centres; without it that tier is left out. */
  KV?: EntryNamespace;
  /** Counts requests by client address; without it nobody is refused. */
  RATE_LIMIT?: RateLimit;
  /** Files of a bundle; with them the Worker encodes queries itself. */
  STUDENT?: BundleFiles;
  BACKEND_URL: string;
  HARNESS_KEYS: string;
  [name: string]: unknown;
}

const origin = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''));
const number = z.coerce.number();
const positiveNumber = number.positive();
const positive = (fallback: number) => positiveNumber.default(fallback);

const Variables = z.object({
  BACKEND_URL: origin,
  DASHBOARD_URL: origin.optional(),
  PUBLIC_URL: origin.optional(),
  BACKEND_DEADLINE_MS: positiveNumber.max(MAX_DEADLINE_MS).default(1_000),
  BACKEND_SECOND_URL: origin.optional(),
  HEDGE_SHARE: number.min(0).max(1).default(0.05),
  CACHE_SOFT_SECONDS: positive(60),
  CACHE_REVALIDATE_SECONDS: positive(30),
  CACHE_HARD_SECONDS: positive(3_600),
  CACHE_MEMORY_MB: positive(32),
  CACHE_API: z.enum(['on', 'off']).default('on'),
  EVENT_DEADLINE_MS: positiveNumber.max(MAX_DEADLINE_MS).default(100),
  CONSENT: z.enum(['assumed', 'required']).default('assumed'),
  QUERY_LOG: z.enum(['text', 'digest']).default('text'),
  WORKERS_CACHE: z.enum(['on', 'off']).default('off'),
});

export interface EdgeSettings {
  readonly backendUrl: string;
  /** Another origin with the same data, for second calls and for when the first is away. */
  readonly secondBackendUrl: string | undefined;
  /** Second calls, as a share of first ones. */
  readonly hedgeShare: number;
  /** Linked from the playground. */
  readonly dashboardUrl: string | undefined;
  /** Origin of click URLs; the request's own when unset. */
  readonly publicUrl: string | undefined;
  readonly keys: KeyRing;
  readonly backendDeadlineMs: number;
  readonly cacheSoftMs: number;
  readonly cacheRevalidateMs: number;
  readonly cacheHardMs: number;
  readonly cacheMemoryBytes: number;
  /** Whether the data centre's cache is a tier. */
  readonly cacheApi: boolean;
  readonly eventDeadlineMs: number;
  /** Whether a visitor who has said nothing may be known by a cookie. */
  readonly consent: 'assumed' | 'required';
  /** How an impression tells what was searched for: its words, or a keyed hash of them. */
  readonly queryLog: 'text' | 'digest';
  /** Whether candidates are asked for through Workers Caching. */
  readonly workersCache: boolean;
}

/** Throws `configuration` that names the binding at fault, or the two that contradict each other. */
export function readSettings(env: EdgeBindings): EdgeSettings {
  const result = Variables.safeParse(env);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw new HarnessError('configuration', `${issue.path.join('.')}: ${issue.message}; set it in wrangler.toml.`);
  }
  if (typeof env.HARNESS_KEYS !== 'string') {
    throw new HarnessError(
      'configuration',
      'HARNESS_KEYS is not set: run `wrangler secret put HARNESS_KEYS` with the key ring of the backend.',
    );
  }
  if (typeof env.EVENTS?.send !== 'function') {
    throw new HarnessError('configuration', 'EVENTS: expected a queue producer binding; see wrangler.toml.');
  }
  if (typeof env.OUTBOX?.idFromName !== 'function') {
    throw new HarnessError('configuration', 'OUTBOX: expected a Durable Object binding; see wrangler.toml.');
  }
  const variables = result.data;
  const { CACHE_SOFT_SECONDS: soft, CACHE_HARD_SECONDS: hard } = variables;
  if (hard < soft) {
    throw new HarnessError(
      'configuration',
      `CACHE_HARD_SECONDS: expected at least the ${soft} of CACHE_SOFT_SECONDS, got ${hard}; set it in wrangler.toml.`,
    );
  }
  return Object.freeze({
    backendUrl: variables.BACKEND_URL,
    secondBackendUrl: variables.BACKEND_SECOND_URL,
    hedgeShare: variables.HEDGE_SHARE,
    dashboardUrl: variables.DASHBOARD_URL,
    publicUrl: variables.PUBLIC_URL,
    keys: parseKeyRing(env.HARNESS_KEYS),
    backendDeadlineMs: variables.BACKEND_DEADLINE_MS,
    cacheSoftMs: variables.CACHE_SOFT_SECONDS * 1_000,
    cacheRevalidateMs: variables.CACHE_REVALIDATE_SECONDS * 1_000,
    cacheHardMs: variables.CACHE_HARD_SECONDS * 1_000,
    cacheMemoryBytes: variables.CACHE_MEMORY_MB * 1_000_000,
    cacheApi: variables.CACHE_API === 'on',
    eventDeadlineMs: variables.EVENT_DEADLINE_MS,
    consent: variables.CONSENT,
    queryLog: variables.QUERY_LOG,
    workersCache: variables.WORKERS_CACHE === 'on',
  });
}
