/** Every route of both sides, once: the applications, the OpenAPI documents and the tests read this table. */
import { Experiment } from '../experiment.ts';
import { Ad, AdBatch, AdBatchResult, AdPatch, AdsQuery, AdsResponse, AdUpload } from './ads.ts';
import { ServingConfig } from './config.ts';
import { Accepted, ConversionRequest, EventBatch, EventBatchResult } from './events.ts';
import { ExperimentReport } from './experiments.ts';
import { Generation, GenerationList, GenerationRequest } from './generations.ts';
import { HeadAds } from './head.ts';
import { Health } from './health.ts';
import type { Route } from './openapi.ts';
import { ReconcileRequest, ReconcileResult, Reconciliation } from './reconciliation.ts';
import { EmbeddingsRequest, EmbeddingsResponse, RetrieveRequest, RetrieveResponse } from './retrieve.ts';
import { KillList } from './takedown.ts';

export const EDGE_ROUTES: readonly Route[] = [
  {
    method: 'get',
    path: '/v1/ads',
    summary: 'Ads for a query',
    query: AdsQuery,
    answer: AdsResponse,
    errors: ['bad_request', 'query_empty', 'query_too_long', 'unknown_market', 'unknown_locale', 'too_many_requests'],
  },
  {
    method: 'get',
    path: '/v1/click/{token}',
    summary: 'Count a click and go to the ad; a token older than a day redirects without counting',
    status: 302,
    errors: ['invalid_token', 'too_many_requests'],
  },
  {
    method: 'post',
    path: '/v1/conversions',
    summary: 'Report a conversion of a click',
    body: ConversionRequest,
    answer: Accepted,
    status: 202,
    errors: ['bad_request', 'invalid_token', 'payload_too_large', 'unsupported_media_type', 'too_many_requests'],
  },
  {
    method: 'post',
    path: '/v1/reconcile',
    summary: 'Compare the ids issued in the last day with the rows stored, and name those that are missing',
    answer: Reconciliation,
    signed: true,
    errors: ['unauthorized', 'backend_unavailable', 'deadline_exceeded'],
  },
  { method: 'get', path: '/healthz', summary: 'State of this isolate', answer: Health },
  { method: 'get', path: '/openapi.json', summary: 'This document', produces: 'application/json' },
  { method: 'get', path: '/', summary: 'The playground', produces: 'text/html' },
];

export const BACKEND_ROUTES: readonly Route[] = [
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
    errors: ['bad_request', 'unauthorized', 'too_many_requests', 'not_ready'],
  },
  {
    method: 'put',
    path: '/v1/ads/{id}',
    summary: 'Create or replace an ad',
    body: AdUpload,
    answer: Ad,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'space_mismatch', 'payload_too_large'],
  },
  {
    method: 'patch',
    path: '/v1/ads/{id}',
    summary: 'Change an ad; pausing holds from the acknowledgement on',
    body: AdPatch,
    answer: Ad,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'not_found'],
  },
  {
    method: 'delete',
    path: '/v1/ads/{id}',
    summary: 'Remove an ad',
    status: 204,
    signed: true,
    errors: ['unauthorized', 'not_found'],
  },
  {
    method: 'post',
    path: '/v1/ads:batch',
    summary: 'Create or replace many ads',
    body: AdBatch,
    answer: AdBatchResult,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'payload_too_large'],
  },
  {
    method: 'post',
    path: '/v1/generations',
    summary: 'Build and publish a generation, or roll back to one',
    body: GenerationRequest,
    answer: Generation,
    status: 201,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'not_found', 'conflict', 'gate_failed'],
  },
  {
    method: 'get',
    path: '/v1/generations',
    summary: 'All generations',
    answer: GenerationList,
    signed: true,
    errors: ['unauthorized'],
  },
  {
    method: 'post',
    path: '/v1/events',
    summary: 'Store events, once an id',
    body: EventBatch,
    answer: EventBatchResult,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'payload_too_large'],
  },
  {
    method: 'post',
    path: '/v1/events:reconcile',
    summary: 'Of these event ids, those that are not stored',
    body: ReconcileRequest,
    answer: ReconcileResult,
    signed: true,
    errors: ['bad_request', 'unauthorized'],
  },
  { method: 'get', path: '/v1/experiments/{key}', summary: 'An experiment', answer: Experiment, errors: ['not_found'] },
  {
    method: 'put',
    path: '/v1/experiments/{key}',
    summary: 'Create or replace an experiment',
    body: Experiment,
    answer: Experiment,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'conflict'],
  },
  {
    method: 'get',
    path: '/v1/experiments/{key}/report',
    summary: 'Report of an experiment',
    answer: ExperimentReport,
    errors: ['not_found'],
  },
  {
    method: 'get',
    path: '/v1/config',
    summary: 'What the edge serves by',
    answer: ServingConfig,
    signed: true,
    errors: ['unauthorized'],
  },
  {
    method: 'get',
    path: '/v1/kill-list',
    summary: 'Ads that must leave every answer at once',
    answer: KillList,
    signed: true,
    errors: ['unauthorized'],
  },
  {
    method: 'get',
    path: '/v1/head-ads',
    summary: 'The ads shown most, with their words, for an edge without a backend',
    answer: HeadAds,
    signed: true,
    errors: ['unauthorized', 'not_ready'],
  },
  { method: 'get', path: '/healthz', summary: 'The process is alive', answer: Health },
  {
    method: 'get',
    path: '/readyz',
    summary: 'A generation is live and the encoder is warm',
    answer: Health,
    errors: ['not_ready'],
  },
  { method: 'get', path: '/metrics', summary: 'Prometheus metrics', produces: 'text/plain' },
  { method: 'get', path: '/openapi.json', summary: 'This document', produces: 'application/json' },
  { method: 'get', path: '/dashboard', summary: 'Experiments, drawn', produces: 'text/html' },
];
