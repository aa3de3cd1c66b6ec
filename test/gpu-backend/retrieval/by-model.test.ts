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

test('without a candidate only the served one can be named', async () => {
  const retrieve = retrieveByModel({ served: () => named('live'), candidate: undefined });
  await expect(retrieve(asking('next'))).rejects.toThrow(/^plan\.model: expected live, got next; /);
});
