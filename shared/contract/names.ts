/** How ads, markets and locales are named, wherever they are. */
import * as z from 'zod';

export const AdId = z.string().regex(/^[\w.:-]{1,64}$/, 'expected 1 to 64 letters, digits and . : _ -');

export const Market = z.string().regex(/^[a-z]{2}$/, 'expected two lower-case letters');
export const Locale = z
  .string()
  .regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'expected a BCP 47 tag such as en or en-GB')
  .max(35);
