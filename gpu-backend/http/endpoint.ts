/** What the routes-*.ts files write: a handler for one line of the route table, given a request that has been checked. */
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Route } from '../../shared/contract/openapi.ts';

export interface Call<Body> {
  /** Parsed by the endpoint's schema; `undefined` where it has none. */
  body: Body;
  /** Path parameters, decoded. */
  params: Record<string, string>;
  query: Record<string, string>;
  /** Id of the key that signed the call; `null` where none is asked for. */
  keyId: string | null;
  /** Aborts when the caller goes away. */
  signal: AbortSignal;
  requestId: string;
  log: Logger;
}

export interface Endpoint {
  /** A line of BACKEND_ROUTES. */
  on: `${Route['method']} ${string}`;
  body: z.ZodType | undefined;
  maxBytes: number;
  /** The answer, sent as JSON; a {@link JsonText} or a Response as it is; `undefined` for no content. */
  handle: (call: Call<never>) => Promise<unknown>;
}

/** An answer that is JSON text already. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Room for one request of ordinary size. */
const DEFAULT_MAX_BYTES = 1 << 20;

export function endpoint<S extends z.ZodType>(options: {
  on: Endpoint['on'];
  body: S;
  maxBytes?: number;
  handle: (call: Call<z.infer<S>>) => Promise<unknown>;
}): Endpoint;
export function endpoint(options: {
  on: Endpoint['on'];
  handle: (call: Call<undefined>) => Promise<unknown>;
}): Endpoint;
export function endpoint(options: {
  on: Endpoint['on'];
  body?: z.ZodType;
  maxBytes?: number;
  handle: (call: Call<never>) => Promise<unknown>;
}): Endpoint {
  return { body: undefined, maxBytes: DEFAULT_MAX_BYTES, ...options };
}
