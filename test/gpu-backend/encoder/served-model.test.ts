import { expect, it } from 'vitest';
import { openServedModel } from '../../../gpu-backend/encoder/served-model.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { gatedEncoder } from '../../fixtures/gated-encoder.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';

const at = testFolder('served-model');

it('is exchanged by one call at a time, and as it was where preparing or opening fails', async () => {
  const dir = at('bundle');
  const opened: string[] = [];
  let fault: Error | undefined;
  await tinyBundle({ dir, name: 'first' });
  const served = await openServedModel({
    dir,
    async open({ manifest: { name, spaceId } }) {
      if (fault !== undefined) throw fault;
      opened.push(name);
      return { ...gatedEncoder({ spaceId }).encoder, model: name };
    },
  });
  const now = () => [served.bundle.manifest.name, served.encoder.model, opened.at(-1)];
  await tinyBundle({ dir, name: 'second' });
  fault = new Error('no memory');
  let taken = 0;
  const takeIntoUse = () => void taken++;
  await expect(served.reload(async () => takeIntoUse)).rejects.toThrow('no memory');
  fault = undefined;
  const refuse = () => Promise.reject(new Error('a plan needs the first'));
  await expect(served.reload(refuse)).rejects.toThrow('a plan needs the first');
  expect([now(), taken]).toEqual([['first', 'first', 'first'], 0]);

  const prepared = Promise.withResolvers<() => void>();
  const one = served.reload(() => prepared.promise);
  await expect(served.reload(async () => takeIntoUse)).rejects.toMatchObject({ code: 'conflict' });
  prepared.resolve(takeIntoUse);
  expect([await one, now(), taken]).toEqual([true, ['second', 'second', 'second'], 1]);
  expect([await served.reload(async () => takeIntoUse), taken]).toEqual([false, 1]);
});
