/** Experiments, their reports and the dashboard, and the configuration that carries them to the edge. */
import type { KillList } from '../../shared/contract/takedown.ts';
import { Experiment } from '../../shared/experiment.ts';
import { HarnessError } from '../../shared/problem.ts';
import { answerDashboard } from '../dashboard/dashboard.ts';
import type { Database } from '../db/connect.ts';
import { buildReport } from '../experiments/report.ts';
import { getExperiment, putExperiment } from '../serving-config/experiment-store.ts';
import type { ServingConfigSource } from '../serving-config/serving-config.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

export function experimentRoutes({ db, config }: { db: Database; config: ServingConfigSource }): Endpoint[] {
  return [
    endpoint({ on: 'get /v1/experiments/{key}', handle: ({ params }) => getExperiment(db, params.key!) }),
    endpoint({
      on: 'put /v1/experiments/{key}',
      body: Experiment,
      async handle({ body, params }) {
        if (body.key !== params.key)
          throw new HarnessError('bad_request', `body.key: expected ${params.key} as in the path, got ${body.key}.`);
        await putExperiment(db, body);
        await config.refresh();
        return body;
      },
    }),
    endpoint({ on: 'get /v1/experiments/{key}/report', handle: ({ params }) => buildReport(db, params.key!) }),
    endpoint({ on: 'get /dashboard', handle: ({ query }) => answerDashboard(db, query) }),
    endpoint({ on: 'get /v1/config', handle: () => config.refresh() }),
    endpoint({
      on: 'get /v1/kill-list',
      async handle(): Promise<KillList> {
        const { version, generation, killList: adIds, experiments } = await config.refresh();
        const running = experiments.filter(({ status }) => status === 'running').map(({ key }) => key);
        return { version, generation, adIds, running };
      },
    }),
  ];
}
