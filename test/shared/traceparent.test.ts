/** Trace Context by the examples and rules of the W3C recommendation. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { continueTrace, formatTraceparent, parseTraceparent } from '../../shared/traceparent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const requestId = '0af76519-16cd-43dd-8448-eb211c80319c';
let ids = 0;
const newId = () => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`;

describe('parseTraceparent', () => {
  test('reads the examples of the recommendation', () => {
    const context = { traceId: TRACE, parentId: PARENT };
    expect(parseTraceparent(`00-${TRACE}-${PARENT}-01`)).toEqual({ ...context, sampled: true });
    expect(parseTraceparent(`00-${TRACE}-${PARENT}-00`)).toEqual({ ...context, sampled: false });
    expect(parseTraceparent(`00-${TRACE}-${PARENT}-03`)).toEqual({ ...context, sampled: true });
    expect(parseTraceparent(`00-${TRACE}-${PARENT}-02`)).toEqual({ ...context, sampled: false });
    // A later version is read by what is known of it.
    expect(parseTraceparent(`cc-${TRACE}-${PARENT}-01-what-the-future-brings`)).toEqual({ ...context, sampled: true });
  });

  test.each([
    null,
    '',
    'nonsense',
    `ff-${TRACE}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-01-more`,
    `00-${TRACE}-${PARENT}-1`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${PARENT}`,
  ])('refuses %j', (header) => expect(parseTraceparent(header)).toBeUndefined());

  test('gives back what was written', () => {
    const id = (length: number) =>
      fc
        .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
        .filter((text) => !/^0+$/.test(text));
    fc.assert(
      fc.property(fc.record({ traceId: id(32), parentId: id(16), sampled: fc.boolean() }), (context) => {
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
      }),
    );
  });
});

describe('continueTrace', () => {
  test("keeps the caller's trace and decision, under a span of its own", () => {
    const next = parseTraceparent(continueTrace(`00-${TRACE}-${PARENT}-01`, { requestId, newId }))!;
    expect(next).toMatchObject({ traceId: TRACE, sampled: true });
    expect(next.parentId).not.toBe(PARENT);
  });

  test("begins one under the request's id, undecided, where there is none or one that is broken", () => {
    for (const header of [undefined, null, 'broken', `00-${'0'.repeat(32)}-${PARENT}-01`])
      expect(parseTraceparent(continueTrace(header, { requestId, newId }))).toMatchObject({
        traceId: '0af7651916cd43dd8448eb211c80319c',
        sampled: false,
      });
  });
});
