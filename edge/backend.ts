/** The GPU backend as the edge calls it: every call signed, bounded by a deadline, and read for news. */
import { EventBatchResult, type HarnessEvent } from '../shared/contract/events.ts';
import { HeadAds } from '../shared/contract/head.ts';
import {
  MAX_RECONCILED_IDS,
  type MissingExposure,
  MissingNoted,
  ReconcileResult,
} from '../shared/contract/reconciliation.ts';
import { NEWS_HEADERS, type RetrieveRequest, RetrieveResponse } from '../shared/contract/retrieve.ts';
import { type KillList, KillListAnswer } from '../shared/contract/takedown.ts';
import { HarnessError, Problem } from '../shared/problem.ts';
import { type KeyRing, signRequest } from '../shared/signature.ts';
import { TRACEPARENT } from '../shared/traceparent.ts';
import type { Loaded } from './cache/tiered.ts';

/** What the headers of an answer say about the backend's state; `null` where a header is missing. */
export interface News {
  configVersion: number | null;
  generation: number | null;
}

export interface BackendOptions {
  baseUrl: string;
  keys: KeyRing;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  now: () => number;
  newNonce: () => string;
  onNews: (news: News) => void;
}

interface Call {
  method: 'GET' | 'POST';
  path: string;
  body?: unknown;
  deadlineMs: number;
  /** Aborted when the answer is not wanted any more. */
  cancelled?: AbortSignal | undefined;
  traceparent?: string | undefined;
}

export type RetrieveOptions = Pick<Call, 'cancelled' | 'traceparent'>;

const wholeNumber = (text: string | null) => (text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null);

export class Backend {
  readonly #options: BackendOptions;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** `POST /v1/retrieve`: a checked answer as text, ready to be cached. Its deadline is told, so that none is made in vain. */
  async retrieve(request: RetrieveRequest, { cancelled, traceparent }: RetrieveOptions = {}): Promise<Loaded> {
    const text = await this.#call({
      method: 'POST',
      path: '/v1/retrieve',
      body: request,
      deadlineMs: request.deadlineMs,
      cancelled,
      traceparent,
    });
    const { generation, candidates } = readAs(RetrieveResponse, text, '/v1/retrieve');
    return { body: text, generation, empty: candidates.length === 0 };
  }

  /** `GET /v1/config`, unchecked: the configuration store decides whether to adopt it. */
  async config(deadlineMs: number): Promise<unknown> {
    return readJson(await this.#call({ method: 'GET', path: '/v1/config', deadlineMs }), '/v1/config');
  }

  /** `GET /v1/kill-list`; `undefined` where it is of the version `have` (0: none). */
  async killList(have: number, deadlineMs: number): Promise<KillList | undefined> {
    const path = have > 0 ? `/v1/kill-list?have=${have}` : '/v1/kill-list';
    const { adIds, ...list } = readAs(KillListAnswer, await this.#call({ method: 'GET', path, deadlineMs }), path);
    return adIds && { ...list, adIds };
  }

  /** `GET /v1/head-ads`. */
  async headAds(deadlineMs: number): Promise<HeadAds> {
    return readAs(HeadAds, await this.#call({ method: 'GET', path: '/v1/head-ads', deadlineMs }), '/v1/head-ads');
  }

  /** `POST /v1/events`: resolves when the events are stored. */
  async storeEvents(events: readonly HarnessEvent[], deadlineMs: number): Promise<EventBatchResult> {
    const text = await this.#call({ method: 'POST', path: '/v1/events', body: { events }, deadlineMs });
    return readAs(EventBatchResult, text, '/v1/events');
  }

  /** `POST /v1/events:reconcile`: of these ids, those that are no rows. */
  async missingEvents(ids: readonly string[], deadlineMs: number): Promise<string[]> {
    const missing: string[] = [];
    for (let from = 0; from < ids.length; from += MAX_RECONCILED_IDS) {
      const body = { ids: ids.slice(from, from + MAX_RECONCILED_IDS) };
      const text = await this.#call({ method: 'POST', path: '/v1/events:reconcile', body, deadlineMs });
      missing.push(...readAs(ReconcileResult, text, '/v1/events:reconcile').missing);
    }
    return missing;
  }

  /** `POST /v1/events:missing`: exposures that are lost, by arm. */
  async noteLost(exposures: readonly MissingExposure[], deadlineMs: number): Promise<void> {
    for (let from = 0; from < exposures.length; from += MAX_RECONCILED_IDS) {
      const body = { exposures: exposures.slice(from, from + MAX_RECONCILED_IDS) };
      const text = await this.#call({ method: 'POST', path: '/v1/events:missing', body, deadlineMs });
      readAs(MissingNoted, text, '/v1/events:missing');
    }
  }

  /** The body of a 2xx answer; throws `deadline_exceeded`, `backend_unavailable`, or the code of the backend's problem. */
  async #call({ method, path, body, deadlineMs, cancelled, traceparent }: Call): Promise<string> {
    const { baseUrl, keys, fetch, now, newNonce, onNews } = this.#options;
    const url = new URL(baseUrl + path);
    const text = body === undefined ? '' : JSON.stringify(body);
    const signature = await signRequest(
      keys,
      { method, path: url.pathname + url.search, body: text },
      { nowMs: now(), nonce: newNonce() },
    );
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(deadlineMs)));
    const signal = cancelled === undefined ? timeout : AbortSignal.any([timeout, cancelled]);
    let response: Response;
    let answer: string;
    try {
      response = await fetch(url.href, {
        method,
        headers: {
          ...signature,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(traceparent === undefined ? {} : { [TRACEPARENT]: traceparent }),
        },
        ...(body === undefined ? {} : { body: text }),
        redirect: 'manual',
        signal,
      });
      // Read to the end whatever it is: an unread body holds one of the Worker's six connections.
      answer = await response.text();
    } catch (cause) {
      throw timeout.aborted
        ? new HarnessError('deadline_exceeded', `${path}: no answer within ${Math.ceil(deadlineMs)} ms.`, { cause })
        : new HarnessError('backend_unavailable', `${path}: ${cause instanceof Error ? cause.message : cause}`, {
            cause,
          });
    }
    onNews({
      configVersion: wholeNumber(response.headers.get(NEWS_HEADERS.configVersion)),
      generation: wholeNumber(response.headers.get(NEWS_HEADERS.generation)),
    });
    if (response.ok) return answer;
    throw refusal(path, response.status, answer);
  }
}

/** The backend's own problem where it sent one; anything else, a proxy's page say, counts as the backend being away. */
export function refusal(path: string, status: number, body: string): HarnessError {
  try {
    const problem = Problem.parse(JSON.parse(body));
    return new HarnessError(problem.code, `${path}: ${problem.detail}`);
  } catch {
    return new HarnessError('backend_unavailable', `${path}: status ${status}.`);
  }
}

function readJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HarnessError('backend_unavailable', `${path}: expected JSON, got ${text.length} characters of text.`, {
      cause,
    });
  }
}

/** A 2xx answer that does not have the contract's shape is no answer. */
function readAs<T>(
  schema: {
    safeParse(value: unknown): {
      success: boolean;
      data?: T;
      error?: { issues: { path: PropertyKey[]; message: string }[] };
    };
  },
  text: string,
  path: string,
): T {
  const result = schema.safeParse(readJson(text, path));
  if (result.success) return result.data as T;
  const issue = result.error?.issues[0];
  throw new HarnessError('backend_unavailable', `${path}: ${issue?.path.join('.')}: ${issue?.message}`);
}
