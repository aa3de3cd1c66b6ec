/** The backend's routes of queries: retrieval, vectors, the model that makes them. */
import { EmbeddingsRequest, EmbeddingsResponse } from './embeddings.ts';
import { ModelRequest, ModelState } from './model.ts';
import type { Route } from './openapi.ts';
import { RetrieveRequest, RetrieveResponse } from './retrieve.ts';

export const RETRIEVAL_ROUTES: readonly Route[] = [
  {
    method: 'post',
    path: '/v1/retrieve',
    summary: 'Candidates for a normalized query under a plan',
    body: RetrieveRequest,
    answer: RetrieveResponse,
    signed: true,
    errors: [
      'bad_request',
      'unauthorized',
      'unknown_market',
      'model_mismatch',
      'too_many_requests',
      'not_ready',
      'deadline_exceeded',
    ],
  },
  {
    method: 'post',
    path: '/v1/embeddings',
    summary: 'Query vectors, in the shape of the OpenAI API',
    body: EmbeddingsRequest,
    answer: EmbeddingsResponse,
    signed: true,
    openAi: true,
    errors: ['bad_request', 'unauthorized', 'payload_too_large', 'too_many_requests', 'not_ready'],
  },
  {
    method: 'post',
    path: '/v1/model',
    summary: "Serve what the bundle's folder holds now, without a failed request; another space is refused",
    body: ModelRequest,
    answer: ModelState,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'conflict', 'space_mismatch', 'bundle_damaged', 'configuration'],
  },
];
