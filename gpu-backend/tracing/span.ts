/**
 * Spans of a request's parts. Until {@link traceWith} is told a tracer, every function here only does the work: one
 * comparison is what tracing costs a service that nobody traces. No attribute carries text of a query.
 */
import {
  type Attributes,
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { TraceContext } from '../../shared/traceparent.ts';

let tracer: Tracer | undefined;

/** From now on spans are made by this tracer; by none when it is `undefined`. */
export function traceWith(next: Tracer | undefined): void {
  tracer = next;
}

/** Does the work, at once or as a promise, in a span that is the parent of those within. */
export function span<T>(name: string, work: () => T, attributes: Attributes = {}): T {
  if (tracer === undefined) return work();
  return tracer.startActiveSpan(name, { attributes }, (active) => whole(active, work));
}

/** The span of a request that came in, continuing the caller's trace; `end` gets the span when the answer is known. */
export function requestSpan<T>(
  options: { name: string; caller: TraceContext | undefined; end: (span: Span) => void },
  work: () => Promise<T>,
): Promise<T> {
  if (tracer === undefined) return work();
  const { name, caller, end } = options;
  const parent =
    caller === undefined
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, {
          traceId: caller.traceId,
          spanId: caller.parentId,
          traceFlags: caller.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
          isRemote: true,
        });
  return tracer.startActiveSpan(name, { kind: SpanKind.SERVER }, parent, (active) =>
    whole(active, async () => {
      try {
        return await work();
      } finally {
        end(active);
      }
    }),
  );
}

/** The place in a trace to which {@link pastSpan} adds; `undefined` when nothing is traced. */
export const here = (): Context | undefined => (tracer === undefined ? undefined : context.active());

/** A span whose beginning and end, both epoch milliseconds, are known only now. */
export function pastSpan(name: string, { at, from, to }: { at: Context | undefined; from: number; to: number }): void {
  if (tracer === undefined || at === undefined) return;
  tracer.startSpan(name, { startTime: from }, at).end(to);
}

/** Id of the trace that is being recorded, as logs carry it. */
export const activeTraceId = (): string | undefined =>
  tracer === undefined ? undefined : trace.getActiveSpan()?.spanContext().traceId;

function whole<T>(active: Span, work: () => T): T {
  const fail = (error: unknown): never => {
    // The class and code of an error, not its message, which may quote what was asked.
    active.setStatus({ code: SpanStatusCode.ERROR });
    active.setAttribute('error.type', String((error as { code?: unknown }).code ?? (error as Error).name ?? 'unknown'));
    active.end();
    throw error;
  };
  try {
    const outcome = work();
    if (outcome instanceof Promise) return outcome.then(done, fail) as T;
    return done(outcome);
  } catch (error) {
    return fail(error);
  }
  function done<V>(value: V): V {
    active.end();
    return value;
  }
}
