/** The backend's routes of what happened and what it means: events, judgements, experiments and their reports. */
import { ExperimentDefinition } from '../experiment-definition.ts';
import { EventBatch, EventBatchResult } from './events.ts';
import { SelfTestResult } from './experiments.ts';
import { JudgementBatch, JudgementResult } from './judgements.ts';
import {
  Attributed,
  AuditPage,
  ExperimentAudit,
  ExperimentList,
  ExperimentPage,
  ExperimentPlan,
  ExperimentStep,
} from './lifecycle.ts';
import type { Route } from './openapi.ts';
import { MissingNoted, MissingReport, ReconcileRequest, ReconcileResult } from './reconciliation.ts';
import { DetailedReport } from './report-detail.ts';

export const MEASUREMENT_ROUTES: readonly Route[] = [
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
  {
    method: 'post',
    path: '/v1/events:missing',
    summary: 'Note exposures that the edge issued and that are not stored, for the loss of each arm',
    body: MissingReport,
    answer: MissingNoted,
    signed: true,
    errors: ['bad_request', 'unauthorized'],
  },
  {
    method: 'post',
    path: '/v1/judgements',
    summary: 'Store what people say of ads beside queries; the first word on a pair holds',
    body: JudgementBatch,
    answer: JudgementResult,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'payload_too_large'],
  },
  {
    method: 'get',
    path: '/v1/experiments',
    summary: 'Experiments, by key',
    query: ExperimentPage,
    answer: ExperimentList,
    errors: ['bad_request'],
  },
  {
    method: 'post',
    path: '/v1/experiments:validate',
    summary: 'What putting this definition would do, and whether it would be refused',
    body: ExperimentDefinition,
    answer: ExperimentPlan,
    signed: true,
    errors: ['bad_request', 'unauthorized'],
  },
  {
    method: 'get',
    path: '/v1/experiments/{key}',
    summary: 'An experiment',
    answer: ExperimentDefinition,
    errors: ['not_found'],
  },
  {
    method: 'post',
    path: '/v1/experiments/{key}',
    summary: 'Start, ramp, stop or archive an experiment',
    body: ExperimentStep,
    answer: ExperimentDefinition,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'not_found', 'conflict'],
  },
  {
    method: 'get',
    path: '/v1/experiments/{key}/audit',
    summary: 'Who changed what of an experiment, when and why',
    query: AuditPage,
    answer: ExperimentAudit,
    errors: ['bad_request', 'not_found'],
  },
  {
    method: 'put',
    path: '/v1/experiments/{key}',
    summary: 'Create or replace an experiment',
    query: Attributed,
    body: ExperimentDefinition,
    answer: ExperimentDefinition,
    signed: true,
    errors: ['bad_request', 'unauthorized', 'conflict'],
  },
  {
    method: 'get',
    path: '/v1/experiments/{key}/report',
    summary: 'Report of an experiment',
    answer: DetailedReport,
    errors: ['not_found'],
  },
  {
    method: 'get',
    path: '/v1/experiments/{key}/self-test',
    summary: 'A/A test of the report on its own units: how often each metric finds what is not there',
    answer: SelfTestResult,
    errors: ['not_found'],
  },
];
