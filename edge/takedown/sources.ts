/** Where an isolate has its kill list from: the Durable Object, or a backend itself where there is none. */
import { type KillList, KillListNews } from '../../shared/contract/takedown.ts';
import { TIMED_OUT, within } from '../deadline.ts';
import type { ObjectNamespace } from '../outbox/outboxes.ts';
import type { KillListOptions } from './kill-list.ts';

export interface KillListSources {
  /** The Durable Object's namespace. */
  objects: ObjectNamespace | undefined;
  /** The backend's list. */
  load: Load;
}

type Load = () => Promise<KillList>;

/**
 * The list of the first backend; where it fails or has not answered after `lateMs`, of whichever answers first. One that is cut off from the
 * database refuses, or is long in finding out, while the other takes pauses.
 */
export function orSecond(first: Load, second: Load, lateMs: number): Load {
  return async () => {
    const asked = first();
    const early = await within(
      asked.catch(() => undefined),
      lateMs,
    );
    return early === undefined || early === TIMED_OUT ? Promise.any([asked, second()]) : early;
  };
}

/** {@link KillListOptions.ask} of an isolate. */
export function askSources({ objects, load }: KillListSources): KillListOptions['ask'] {
  if (objects === undefined) return async () => ({ ageMs: 0, list: await load() });
  return async ({ have, want }) => {
    const object = objects.get(objects.idFromName('kill-list') as never);
    const answer = await object.fetch(`https://kill-list/?have=${have}&want=${want}`, { method: 'GET' });
    return KillListNews.parse(JSON.parse(await answer.text()));
  };
}
