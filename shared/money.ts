/** Money is integer micros of the account currency: 1_000_000 is one unit. */
import * as z from 'zod';

export const MICROS = 1_000_000;

/** Non-negative integer micros, exact in a double. */
export const Micros = z.int().nonnegative();

/** `1234567` -> `"1.23"`. */
export function formatMicros(micros: number, digits = 2): string {
  return (micros / MICROS).toFixed(digits);
}
