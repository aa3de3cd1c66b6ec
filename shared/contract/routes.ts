/** Every route of the backend, once: the application, the OpenAPI document and the tests read this table. */
import { ServingConfig } from './config.ts';
import { HeadAds } from './head.ts';
import { Health } from './health.ts';
import type { Route } from './openapi.ts';
import { CATALOGUE_ROUTES } from './routes-catalogue.ts';
import { MEASUREMENT_ROUTES } from './routes-measurement.ts';
import { RETRIEVAL_ROUTES } from './routes-retrieval.ts';
import { KillListAnswer, KillListQuery } from './takedown.ts';

export const BACKEND_ROUTES: readonly Route[] = [
  ...RETRIEVAL_ROUTES,
  ...CATALOGUE_ROUTES,
  ...MEASUREMENT_ROUTES,
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
    query: KillListQuery,
    answer: KillListAnswer,
    signed: true,
    errors: ['unauthorized', 'bad_request'],
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
