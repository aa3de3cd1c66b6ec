/** Spans of nested and failing work, in memory; and nothing at all where nobody traces. */
import { trace } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTracing, type Tracing } from '../../../gpu-backend/tracing/export.ts';
import { activeTraceId, here, pastSpan, requestSpan, span } from '../../../gpu-backend/tracing/span.ts';
import { HarnessError } from '../../../shared/problem.ts';

/** A small one would be taken for a time since the process began, once that is so long ago. */
const EPOCH_MS = 1_800_000_000_000;
const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', parentId: '00f067aa0ba902b7', sampled: true };
let exporter: InMemorySpanExporter;
let tracing: Tracing | undefined;
const start = (rate: number) => {
  tracing = startTracing({ version: '0', rate, processors: [new SimpleSpanProcessor({ exporter })] });
};
beforeEach(() => {
  exporter = new InMemorySpanExporter();
});
afterEach(async () => {
  await tracing?.stop();
  tracing = undefined;
});
const request = <T>(work: () => Promise<T>, caller: typeof CALLER | null = CALLER) =>
  requestSpan({ name: 'GET', caller: caller ?? undefined, end: (active) => active.updateName('GET /here') }, work);
const names = () => exporter.getFinishedSpans().map(({ name }) => name);

test("parts hang on the request, and the request on the caller's span", async () => {
  start(0);
  const answer = await request(async () => {
    expect(activeTraceId()).toBe(CALLER.traceId);
    const [a, b] = await Promise.all([span('async', async () => span('inner', () => 1)), span('sync', () => 2)]);
    pastSpan('past', { at: here(), from: EPOCH_MS, to: EPOCH_MS + 500 });
    return a + b;
  });
  expect(answer).toBe(3);
  const spans = exporter.getFinishedSpans();
  const of = (name: string) => spans.find((each) => each.name === name)!;
  const parent = (name: string) => of(name).parentSpanContext?.spanId;
  expect(parent('GET /here')).toBe(CALLER.parentId);
  const root = of('GET /here').spanContext().spanId;
  expect(['async', 'sync', 'past'].map(parent)).toEqual([root, root, root]);
  expect(parent('inner')).toBe(of('async').spanContext().spanId);
  expect(of('past').duration).toEqual([0, 500_000_000]);
  expect(new Set(spans.map((each) => each.spanContext().traceId))).toEqual(new Set([CALLER.traceId]));
});

test('a failure is passed on and marked, by its code and not its words', async () => {
  start(1);
  const error = new HarnessError('deadline_exceeded', 'what was asked');
  await expect(request(() => span('part', () => Promise.reject(error)))).rejects.toBe(error);
  expect(() =>
    span('sync part', () => {
      throw error;
    }),
  ).toThrow(error);
  expect(
    exporter.getFinishedSpans().map(({ name, attributes, status }) => [name, attributes['error.type'], status.code]),
  ).toEqual([
    ['part', 'deadline_exceeded', 2],
    ['GET /here', 'deadline_exceeded', 2],
    ['sync part', 'deadline_exceeded', 2],
  ]);
  expect(JSON.stringify(exporter.getFinishedSpans().map(({ events, status }) => [events, status]))).not.toContain(
    'asked',
  );
});

test('a caller that does not trace leaves it to the rate; one that does is followed', async () => {
  start(0);
  await request(async () => span('part', () => 1), { ...CALLER, sampled: false });
  await request(async () => span('part', () => 1), null);
  expect(names()).toEqual([]);
  await request(async () => 1);
  expect(names()).toEqual(['GET /here']);
});

test('without a tracer there is the work and nothing else', async () => {
  expect(await request(async () => span('part', () => 5))).toBe(5);
  expect([here(), activeTraceId(), trace.getActiveSpan()]).toEqual([undefined, undefined, undefined]);
});
