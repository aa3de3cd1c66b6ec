/** Which of two backends is believed; one that is cut off refuses (fault/cut-off.test.ts). */
import { expect, it } from 'vitest';
import { orSecond } from '../../../edge/resilience/or-second.ts';
import { HarnessError } from '../../../shared/problem.ts';

interface Answer {
  version: number;
}
const answer = (version: number): Answer => ({ version });
const away = () => Promise.reject(new Error('away'));
const silent = () => new Promise<never>(() => undefined);

it('is the first, and the second is not asked, while that answers in time', async () => {
  let asked = 0;
  const second = async () => answer(++asked);
  expect(await orSecond(async () => answer(7), second, 60_000)).toEqual(answer(7));
  expect(asked).toBe(0);
});

it.each([
  ['fails', away, 60_000],
  ['is silent', silent, 0],
])('is the second where the first %s', async (_, first, lateMs) => {
  expect(await orSecond(first, async () => answer(8), lateMs)).toEqual(answer(8));
});

it('is the first, late, where the second fails', async () => {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const second = () => {
    resolve(answer(7));
    return away();
  };
  expect(await orSecond(() => promise, second, 0)).toEqual(answer(7));
});

it('is the failure of the first where both fail, with the reasons of both', async () => {
  const late = () => Promise.reject(new HarnessError('deadline_exceeded', 'late'));
  await expect(orSecond(late, away, 60_000)).rejects.toMatchObject({
    code: 'deadline_exceeded',
    message: 'late; away',
  });
  await expect(orSecond(away, late, 60_000)).rejects.toMatchObject({
    code: 'backend_unavailable',
    message: 'away; late',
  });
});
