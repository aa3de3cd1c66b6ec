import { expect, it } from 'vitest';
import * as z from 'zod';
import { LIST_VERSION, RetrieveResponse } from '../../shared/contract/retrieve.ts';
import { sha256Hex } from '../../shared/digest.ts';

/** What the edge reads of a kept answer (edge/candidates.ts). */
const Kept = RetrieveResponse.pick({ generation: true, model: true, candidates: true, timings: true });

it('a change of what is read from caches raises its version', async () => {
  const digest = await sha256Hex(JSON.stringify(z.toJSONSchema(Kept)));
  expect({ version: LIST_VERSION, digest }).toEqual({
    version: 1,
    digest: '2479ab0e1144af306c8cfebdc5e2697ee1094b3db6d6b52e884f143f189de3bb',
  });
});
