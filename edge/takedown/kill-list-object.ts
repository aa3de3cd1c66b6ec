/**
 * The Durable Object between all isolates and the backend: there is one, it holds the newest kill list on disk, and it asks
 * the backend for all who ask it, a few times a second at most.
 */
import type { KillList, KillListNews } from '../../shared/contract/takedown.ts';
import { KillListKeeper } from './kill-list.ts';

/** As much of a Durable Object's state as is used here. */
export interface KeeperState {
  storage: { get(key: string): Promise<unknown>; put(key: string, value: unknown): Promise<void> };
  waitUntil(work: Promise<unknown>): void;
}

/** What the object needs of the Worker that it is part of. */
export interface KeeperWorld {
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  /** The backend's list. */
  load: () => Promise<KillList>;
  onError: (message: string, error: unknown) => void;
}

/** Age up to which the object's list answers without asking the backend. */
const FRESH_MS = 200;
const WAIT_MS = 400;
const KEY = 'kill-list';

export class KillListObject {
  readonly #state: KeeperState;
  readonly #keeper: KillListKeeper;
  readonly #world: () => KeeperWorld;
  readonly #ready: Promise<void>;
  /** Version of the list on disk. */
  #keptVersion = 0;

  constructor(state: KeeperState, world: () => KeeperWorld) {
    this.#state = state;
    this.#world = world;
    this.#keeper = new KillListKeeper({
      ask: async () => ({ ageMs: 0, list: await world().load() }),
      now: () => world().now(),
      refreshMs: FRESH_MS,
      boundMs: FRESH_MS,
      waitMs: WAIT_MS,
      onNewer: (list) => this.#keep(list),
      onError: (message, error) => world().onError(message, error),
    });
    this.#ready = this.#restore();
  }

  /** `GET /?have=VERSION&want=VERSION`: {@link KillListNews}. */
  async fetch(request: { url: string }): Promise<Response> {
    await this.#ready;
    const { searchParams } = new URL(request.url);
    this.#keeper.heard(Number(searchParams.get('want')));
    await this.#keeper.keepUp((work) => this.#state.waitUntil(work));
    const { list, ageMs } = this.#keeper;
    const isHad = list.version === Number(searchParams.get('have'));
    // JSON has no infinity; a list that the backend never confirmed is older than any bound.
    const news: KillListNews = { ageMs: Math.min(ageMs, 1e12), ...(isHad ? {} : { list }) };
    return Response.json(news);
  }

  async #restore(): Promise<void> {
    try {
      const kept = await this.#state.storage.get(KEY);
      if (kept === undefined) return;
      const list = kept as KillList;
      this.#keptVersion = list.version;
      this.#keeper.adopt(list);
    } catch (error) {
      this.#world().onError('the kill list on disk could not be read', error);
    }
  }

  #keep(list: KillList): void {
    if (list.version <= this.#keptVersion) return;
    this.#keptVersion = list.version;
    const failed = (error: unknown) => this.#world().onError('the kill list could not be kept', error);
    // The runtime lets no answer out before it is on disk: an object that starts again must not know less than it said.
    this.#state.waitUntil(this.#state.storage.put(KEY, list).catch(failed));
  }
}
