/** Where an isolate has its kill list from: the Durable Object, or a backend itself where there is none. */
import { type KillList, KillListNews } from '../../shared/contract/takedown.ts';
import type { ObjectNamespace } from '../outbox/outboxes.ts';
import type { KillListOptions } from './kill-list.ts';

export interface KillListSources {
  /** The Durable Object's namespace. */
  objects: ObjectNamespace | undefined;
  /** The backend's list; `undefined` where it is of the version `have`. */
  load: (have: number) => Promise<KillList | undefined>;
}

/** {@link KillListOptions.ask} of an isolate. */
export function askSources({ objects, load }: KillListSources): KillListOptions['ask'] {
  if (objects === undefined) return async ({ have }) => ({ ageMs: 0, list: await load(have) });
  return async ({ have, want }) => {
    const object = objects.get(objects.idFromName('kill-list') as never);
    const answer = await object.fetch(`https://kill-list/?have=${have}&want=${want}`, { method: 'GET' });
    return KillListNews.parse(JSON.parse(await answer.text()));
  };
}
