/** Harness's own backend as a teacher: its `/v1/embeddings` is what an OpenAI-compatible endpoint should be. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll } from 'vitest';
import type { EmbeddingsResponse } from '../../../shared/contract/embeddings.ts';
import { ENDPOINT_DEFAULTS, endpointTeacher } from '../../../training/teacher/endpoint.ts';
import { teacherConformance } from '../../conformance/teacher.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { call } from '../../setup/backend.ts';
import { useBackend } from '../../setup/hooks.ts';

const folder = testFolder('own-backend');
const backend = useBackend({ market: false });
// The backend takes signed requests only: between the two stands what signs them, as the edge does.
const signer = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks).toString();
  const { status, body } = await call<EmbeddingsResponse>(backend.url, `POST ${request.url}`, { raw });
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});
beforeAll(async () => {
  await new Promise<void>((resolve) => signer.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  signer.close();
  signer.closeAllConnections();
});
const open = (encodingFormat: 'float' | 'base64') => {
  const url = `http://127.0.0.1:${(signer.address() as AddressInfo).port}/v1`;
  const settings = { ...ENDPOINT_DEFAULTS, url, model: 'tiny-1', encodingFormat };
  return endpointTeacher(settings, { cache: folder(`backend-${encodingFormat}`) });
};
for (const format of ['float', 'base64'] as const) {
  teacherConformance({
    name: `Harness's own backend, in ${format}`,
    open: () => open(format),
    others: {},
    texts: ['red sofa', 'green couch', 'cheap car', 'a large lamp here'],
  });
}
