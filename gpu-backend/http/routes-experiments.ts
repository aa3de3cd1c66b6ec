/** Experiments, their life, their reports and the dashboard, and the configuration that carries them to the edge. */
import { Attributed, AuditPage, ExperimentPage, ExperimentStep } from '../../shared/contract/lifecycle.ts';
import { type KillListAnswer, KillListQuery } from '../../shared/contract/takedown.ts';
import { ExperimentDefinition } from '../../shared/experiment-definition.ts';
import { HarnessError, parse } from '../../shared/problem.ts';
import { answerDashboard } from '../dashboard/dashboard.ts';
import type { Database } from '../db/connect.ts';
import { buildDetailedReport } from '../experiments/detailed-report.ts';
import { runSelfTest } from '../experiments/self-test.ts';
import {
  auditOf,
  getExperiment,
  pageOfExperiments,
  planExperiment,
  putExperiment,
  stepExperiment,
} from '../serving-config/experiment-store.ts';
import type { ServingConfigSource } from '../serving-config/serving-config.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

export interface ExperimentRoutesOptions {
  db: Database;
  /** The same database for reports, which may take long. */
  batch: Database;
  config: ServingConfigSource;
}

export function experimentRoutes({ db, batch, config }: ExperimentRoutesOptions): Endpoint[] {
  return [
    endpoint({
      on: 'get /v1/experiments',
      handle: ({ query }) => pageOfExperiments(db, parse(ExperimentPage, query, 'query')),
    }),
    endpoint({
      on: 'post /v1/experiments:validate',
      body: ExperimentDefinition,
      handle: ({ body }) => planExperiment(db, body),
    }),
    endpoint({ on: 'get /v1/experiments/{key}', handle: ({ params }) => getExperiment(db, params.key!) }),
    endpoint({
      on: 'put /v1/experiments/{key}',
      body: ExperimentDefinition,
      async handle({ body, params, query, keyId }) {
        const { by = keyId!, why = '' } = parse(Attributed, query, 'query');
        if (body.key !== params.key)
          throw new HarnessError('bad_request', `body.key: expected ${params.key} as in the path, got ${body.key}.`);
        const put = await putExperiment(db, body, { by, keyId, why });
        await config.refresh();
        return put;
      },
    }),
    endpoint({
      on: 'post /v1/experiments/{key}',
      body: ExperimentStep,
      async handle({ body: step, params, keyId }) {
        const { by = keyId!, why } = step;
        const stepped = await stepExperiment(db, params.key!, { step, attribution: { by, keyId, why } });
        await config.refresh();
        return stepped;
      },
    }),
    endpoint({
      on: 'get /v1/experiments/{key}/audit',
      handle: ({ params, query }) => auditOf(db, params.key!, parse(AuditPage, query, 'query')),
    }),
    endpoint({
      on: 'get /v1/experiments/{key}/report',
      handle: ({ params }) => buildDetailedReport(batch, params.key!),
    }),
    endpoint({ on: 'get /v1/experiments/{key}/self-test', handle: ({ params }) => runSelfTest(batch, params.key!) }),
    endpoint({ on: 'get /dashboard', handle: ({ query }) => answerDashboard(batch, query) }),
    endpoint({ on: 'get /v1/config', handle: () => config.confirm() }),
    endpoint({
      on: 'get /v1/kill-list',
      async handle({ query }): Promise<KillListAnswer> {
        const { have } = parse(KillListQuery, query, 'query');
        const { version, generation, killList: adIds, killListSince: since, experiments } = await config.confirm();
        const running = experiments.filter(({ status }) => status === 'running').map(({ key }) => key);
        return { version, generation, since, running, ...(have !== version && { adIds }) };
      },
    }),
  ];
}
