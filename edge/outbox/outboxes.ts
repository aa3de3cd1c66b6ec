/**
 * The outbox as the Worker calls it. Several objects share the load; an isolate stays with one; an overview asks all of
 * them.
 */
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { Reconciliation } from '../../shared/contract/reconciliation.ts';
import { HarnessError, Problem } from '../../shared/problem.ts';

/** As much of a Durable Object namespace as is used here. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
  get(id: never): { fetch(url: string, init: RequestInit): Promise<Response> };
}

/** One object takes about 1,000 calls a second. */
const OBJECTS = 4;

export class Outboxes {
  readonly #namespace: ObjectNamespace;
  readonly #own: number;

  /** `seed` chooses the isolate's own object. */
  constructor(namespace: ObjectNamespace, seed: string) {
    this.#namespace = namespace;
    this.#own = [...seed].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % OBJECTS;
  }

  /** Resolves once the events are on disk. */
  async put(events: readonly HarnessEvent[]): Promise<void> {
    await this.#post(this.#own, '/put', events);
  }

  /** Resolves once the ids are on disk. */
  async note(ids: readonly string[]): Promise<void> {
    await this.#post(this.#own, '/note', ids);
  }

  /** All ledgers compared with the backend's rows; throws the problem of the first that could not be. */
  async reconcile(): Promise<Reconciliation> {
    const parts = await Promise.all(
      Array.from({ length: OBJECTS }, async (_, i) =>
        Reconciliation.parse(JSON.parse(await this.#post(i, '/reconcile'))),
      ),
    );
    const minutes = new Map<string, Reconciliation['minutes'][number]>();
    for (const each of parts.flatMap((part) => part.minutes)) {
      const { issued, stored, missing } = minutes.get(each.minute) ?? { issued: 0, stored: 0, missing: 0 };
      minutes.set(each.minute, {
        minute: each.minute,
        issued: issued + each.issued,
        stored: stored + each.stored,
        missing: missing + each.missing,
      });
    }
    const sum = (of: 'recent' | 'waiting') => parts.reduce((total, part) => total + part[of], 0);
    return {
      minutes: [...minutes.values()].sort((a, b) => a.minute.localeCompare(b.minute)),
      missing: parts.flatMap((part) => part.missing).sort((a, b) => a.minute.localeCompare(b.minute)),
      recent: sum('recent'),
      waiting: sum('waiting'),
    };
  }

  async #post(object: number, path: string, value?: unknown): Promise<string> {
    const stub = this.#namespace.get(this.#namespace.idFromName(`outbox-${object}`) as never);
    const answer = await stub.fetch(`https://outbox${path}`, {
      method: 'POST',
      ...(value === undefined ? {} : { body: JSON.stringify(value) }),
    });
    const text = await answer.text();
    if (answer.ok) return text;
    const problem = Problem.parse(JSON.parse(text));
    throw new HarnessError(problem.code, `outbox ${object}: ${problem.detail}`);
  }
}
