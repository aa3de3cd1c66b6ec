/** What is served by now: the configuration, with what was taken down since it was made on top of it. */
import type { ServingConfig } from '../../shared/contract/config.ts';
import type { KillList } from '../../shared/contract/takedown.ts';
import { Serving } from '../serving.ts';

export interface ServingSources {
  /** The configuration in use. */
  config: { readonly serving: Serving };
  /** The keeper of this isolate. */
  killList: { readonly list: KillList };
}

/** A list that is newer than the configuration takes ads and experiments out of it; the configuration follows in its own time. */
export function servingNow({ config, killList }: ServingSources): () => Serving {
  let last: { serving: Serving; list: KillList; now: Serving } | undefined;
  return () => {
    const { serving } = config;
    const { list } = killList;
    if (list.version <= serving.config.version) return serving;
    if (last?.serving !== serving || last.list !== list) {
      last = { serving, list, now: new Serving(takenDown(serving.config, list)) };
    }
    return last.now;
  };
}

/** Stopped experiments stay defined, so that quality assurance can still look at their arms. */
function takenDown(config: ServingConfig, { adIds, since, running }: KillList): ServingConfig {
  const experiments = config.experiments.map((experiment) =>
    experiment.status === 'running' && running?.includes(experiment.key) === false
      ? { ...experiment, status: 'stopped' as const }
      : experiment,
  );
  return { ...config, killList: adIds, killListSince: since, experiments };
}
