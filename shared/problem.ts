/**
 * Errors that cross a process border: one class, a closed set of codes, one map to HTTP statuses.
 * The wire form is RFC 9457 (`application/problem+json`) with a stable `code`.
 */
import * as z from 'zod';

/** Every code a caller may meet, with the HTTP status it travels under. */
export const STATUS = {
  bad_request: 400,
  query_empty: 400,
  query_too_long: 400,
  unknown_market: 400,
  unknown_locale: 400,
  invalid_token: 400,
  space_mismatch: 409,
  model_mismatch: 409,
  conflict: 409,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  payload_too_large: 413,
  unsupported_media_type: 415,
  gate_failed: 422,
  too_many_requests: 429,
  bundle_damaged: 500,
  configuration: 500,
  internal: 500,
  backend_unavailable: 503,
  circuit_open: 503,
  not_ready: 503,
  deadline_exceeded: 504,
} as const;

export type ProblemCode = keyof typeof STATUS;

/** Wire form of an error (RFC 9457). */
export const Problem = z.lazy(() =>
  z
    .object({
      type: z.string(),
      title: z.string(),
      status: z.int(),
      code: z.enum(Object.keys(STATUS) as [ProblemCode, ...ProblemCode[]]),
      detail: z.string(),
      requestId: z.string().optional(),
      retryAfterSeconds: z.number().optional(),
    })
    .meta({ id: 'Problem' }),
);
export type Problem = z.infer<typeof Problem>;

/** The one error of Harness: `message` names what was expected and what came, in one line, with the fix where there is one. */
export class HarnessError extends Error {
  readonly code: ProblemCode;
  /** Seconds after which a retry makes sense (sent as `Retry-After`). */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ProblemCode, message: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HarnessError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return STATUS[this.code];
  }
}

/** The problem body for any thrown value; what is not a {@link HarnessError} is `internal` and says nothing of its cause. */
export function toProblem(error: unknown, requestId?: string): Problem {
  const known =
    error instanceof HarnessError
      ? error
      : new HarnessError('internal', 'An unexpected fault; the log has it under the request id.');
  return {
    type: `https://harness.example/problems/${known.code}`,
    title: known.code.replaceAll('_', ' '),
    status: known.status,
    code: known.code,
    detail: known.message,
    ...(requestId === undefined ? {} : { requestId }),
    ...(known.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: known.retryAfterSeconds }),
  };
}

/** The problem as a Response, the same on both sides; `extend` may add members for callers of another protocol. */
export function problemResponse(
  error: unknown,
  requestId?: string,
  extend: (problem: Problem) => Problem = (problem) => problem,
): Response {
  const problem = toProblem(error, requestId);
  return new Response(JSON.stringify(extend(problem)), {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(problem.retryAfterSeconds === undefined
        ? {}
        : { 'retry-after': String(Math.ceil(problem.retryAfterSeconds)) }),
    },
  });
}

/** Parses `value` with a schema; a mismatch is a `bad_request` that names the first field, what was expected and what came. */
export function parse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // A misspelt field is also missing under its right name: the unknown name says more.
  const { issues } = result.error;
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!;
  const path = issue.path.length === 0 ? what : `${what}.${issue.path.join('.')}`;
  throw new HarnessError('bad_request', `${path}: ${issue.message}${numberAt(value, issue.path)}`);
}

/** A number that was refused, as words. Other values are not repeated: they may be long, or secret. */
function numberAt(value: unknown, path: readonly PropertyKey[]): string {
  const received = path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key],
    value,
  );
  const isNumber = typeof received === 'number' || (typeof received === 'string' && /^-?\d+(\.\d+)?$/.test(received));
  return isNumber ? `, got ${received}` : '';
}
