/**
 * Every route of the edge, once: the application, the OpenAPI document and the tests read this table. It is separate
 * from the backend's, whose schemas take as long to build as all the rest of the Worker's start.
 */

import { Accepted, ConversionRequest } from './events.ts';
import { Health } from './health.ts';
import type { Route } from './openapi.ts';
import { AdsQuery, AdsResponse } from './query-route.ts';
import { Reconciliation } from './reconciliation.ts';

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
