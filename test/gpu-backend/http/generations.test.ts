import { expect, it } from 'vitest';
import { generationRoutes } from '../../../gpu-backend/http/routes-generations.ts';
import type { Publication } from '../../../gpu-backend/serving-config/publication.ts';
import { GenerationRequest } from '../../../shared/contract/generations.ts';

it('a build is forced where the call says so, and not otherwise', async () => {
  const forced: unknown[] = [];
  const build: Publication['build'] = async ({ force } = {}) => {
    forced.push(force);
    return {} as Awaited<ReturnType<Publication['build']>>;
  };
  const routes = generationRoutes({ build } as Publication, new AbortController().signal);
  const { handle } = routes.find(({ on }) => on === 'post /v1/generations')!;
  for (const more of [{}, { force: false }, { force: true }])
    await handle({ body: GenerationRequest.parse({ action: 'build', ...more }) } as never);
  expect(forced).toEqual([false, false, true]);
});
