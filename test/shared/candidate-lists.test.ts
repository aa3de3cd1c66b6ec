import { expect, it } from 'vitest';
import * as z from 'zod';
import { Candidate, LIST_VERSION } from '../../shared/contract/retrieve.ts';
import { sha256Hex } from '../../shared/digest.ts';

it('a change of what caches keep raises its version', async () => {
  const digest = await sha256Hex(JSON.stringify(z.toJSONSchema(Candidate)));
  expect({ version: LIST_VERSION, digest }).toEqual({
    version: 1,
    digest: 'caed62f67660cf08560c244947e047c01bc40bb1d284879f53c5dc2442219366',
  });
});
