import { expect, it } from 'vitest';
import * as z from 'zod';
import { LIST_VERSION, RetrieveResponse } from '../../shared/contract/retrieve.ts';
import { sha256Hex } from '../../shared/digest.ts';

/** What the edge reads of a kept answer (edge/candidates.ts). */
const Kept = RetrieveResponse.pick({ generation: true, model: true, candidates: true, timings: true });

it('a change of what is read from caches raises its version', async () => {
  const digest = await sha256Hex(JSON.stringify(z.toJSONSchema(Kept)));
  expect({ version: LIST_VERSION, digest }).toEqual({
    version: 2,
    digest: '985a681eca95fd827fc8445e04bc485f81d1eb0d48e80398494b06dd17729d64',
  });
});
