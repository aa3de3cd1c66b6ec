import { expect, test } from 'vitest';
import { type NamedRetrieval, retrieveByModel } from '../../../gpu-backend/retrieval/by-model.ts';
import type { RetrieveResponse } from '../../../shared/contract/retrieve.ts';
import { retrieval } from '../../setup/backend.ts';

const named = (model: string): NamedRetrieval => ({
  model,
  retrieval: { retrieve: async () => ({ model }) as RetrieveResponse },
});
const asking = (model?: string) => {
  const plan = { retrievers: ['dense' as const], k: 5, minRelevance: 0, ...(model === undefined ? {} : { model }) };
  return retrieval('shoe', { plan });
};

test('the served student answers plans that name it or none, whichever is served by then', async () => {
  let served = named('live');
  const retrieve = retrieveByModel({ served: () => served, candidate: named('next') });
  expect((await retrieve(asking())).model).toBe('live');
  expect((await retrieve(asking('live'))).model).toBe('live');
  expect((await retrieve(asking('next'))).model).toBe('next');
  served = named('newer');
  expect((await retrieve(asking())).model).toBe('newer');
  await expect(retrieve(asking('live'))).rejects.toMatchObject({
    code: 'model_mismatch',
    message: expect.stringContaining('expected newer or next, got live'),
  });
});

test('the served one answers for a candidate of its name, which it was before it was served', async () => {
  const candidate = { model: 'live', retrieval: { retrieve: () => expect.unreachable() } };
  const retrieve = retrieveByModel({ served: () => named('live'), candidate });
  expect((await retrieve(asking('live'))).model).toBe('live');
});

test('whoever answers is told what the caller told', async () => {
  const signal = AbortSignal.abort();
  const told: unknown[] = [];
  const tells = (model: string): NamedRetrieval => ({
    model,
    retrieval: {
      async retrieve(request, options) {
        told.push(request.plan.model, options?.signal);
        return { model } as RetrieveResponse;
      },
    },
  });
  const retrieve = retrieveByModel({ served: () => tells('live'), candidate: tells('next') });
  await retrieve(asking(), { signal });
  await retrieve(asking('next'), { signal });
  expect(told).toEqual([undefined, signal, 'next', signal]);
});

test('without a candidate only the served one can be named', async () => {
  const retrieve = retrieveByModel({ served: () => named('live'), candidate: undefined });
  await expect(retrieve(asking('next'))).rejects.toThrow(/^plan\.model: expected live, got next; /);
});
