/** Which of two backends the kill list is from; a backend that is cut off refuses it (fault/cut-off.test.ts). */
import { expect, it } from 'vitest';
import { orSecond } from '../../../edge/takedown/sources.ts';
import type { KillList } from '../../../shared/contract/takedown.ts';

const list = (version: number): KillList => ({ version, generation: 1, adIds: [] });
const away = () => Promise.reject(new Error('away'));
const silent = () => new Promise<never>(() => undefined);

it('is the first, and the second is not asked, while that answers in time', async () => {
  let asked = 0;
  const second = async () => list(++asked);
  expect(await orSecond(async () => list(7), second, 60_000)()).toEqual(list(7));
  expect(asked).toBe(0);
});

it.each([
  ['fails', away, 60_000],
  ['is silent', silent, 0],
])('is the second where the first %s', async (_, first, lateMs) => {
  expect(await orSecond(first, async () => list(8), lateMs)()).toEqual(list(8));
});

it('is the first, late, where the second fails', async () => {
  const { promise, resolve } = Promise.withResolvers<KillList>();
  const second = () => {
    resolve(list(7));
    return away();
  };
  expect(await orSecond(() => promise, second, 0)()).toEqual(list(7));
});

it('is an error where both fail', async () => {
  await expect(orSecond(away, away, 60_000)()).rejects.toMatchObject({ errors: [{ message: 'away' }, {}] });
});
