import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { HarnessError, parse } from '../../shared/problem.ts';

const Request = z.strictObject({ slots: z.coerce.number().max(10), key: z.string().min(8), arms: z.array(z.number()) });
const good = { slots: '4', key: 'a-long-key', arms: [1] };

describe('parse', () => {
  it.each([
    [{ ...good, slots: '99' }, 'query.slots: Too big: expected number to be <=10, got 99'],
    [{ ...good, arms: [1, '2'] }, 'query.arms.1: Invalid input: expected number, received string, got 2'],
    // What is no number may be a secret.
    [{ ...good, key: 'secret' }, 'query.key: Too small: expected string to have >=8 characters'],
    [null, 'query: Invalid input: expected object, received null'],
  ])('names what was expected, and a number that came: %j', (value, message) => {
    expect(() => parse(Request, value, 'query')).toThrow(new HarnessError('bad_request', message));
  });

  it('names the misspelt field, which is missing under its right name', () => {
    const { slots, ...rest } = good;
    expect(() => parse(Request, { ...rest, slot: slots }, 'query')).toThrow(/^query: Unrecognized key: "slot"$/);
  });

  it('gives what the schema makes of the value', () => {
    expect(parse(Request, good, 'query')).toEqual({ ...good, slots: 4 });
  });
});
