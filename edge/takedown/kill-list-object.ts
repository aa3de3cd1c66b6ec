/**
 * The Durable Object between all isolates and the backend: there is one, it holds the newest kill list on disk, and it asks
 * the backend for all who ask it, a few times a second at most.
 */
import type { KillList, KillListNews } from '../../shared/contract/takedown.ts';
import { KillListKeeper } from './kill-list.ts';

/** As much of a Durable Object's state as is used here. */
export interface KeeperState {
  storage: {
    get(keys: string[]): Promise<Map<string, unknown>>;
    /** All of them or none. */
    put(entries: Record<string, unknown>): Promise<void>;
  };
  waitUntil(work: Promise<unknown>): void;
}

/** What the object needs of the Worker that it is part of. */
export interface KeeperDependencies {
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  /** The backend's list; `undefined` where it is of the version `have`. */
  load: (have: number) => Promise<KillList | undefined>;
  onError: (message: string, error: unknown) => void;
}

/** Age up to which the object's list answers without asking the backend. */
const FRESH_MS = 200;
const WAIT_MS = 400;
/** Characters of a value on disk, which may take 2 MB. One call writes up to 128 of them: room for millions of ads. */
const PART_LENGTH = 1_000_000;
/** How many parts the list's JSON is in. */
const PARTS = 'kill-list/parts';
const partKeys = (parts: number) => Array.from({ length: parts }, (_, i) => `kill-list/${i}`);
/** Where objects of before kept the list itself. */
const WHOLE = 'kill-list';

export class KillListObject {
  readonly #state: KeeperState;
  readonly #keeper: KillListKeeper;
  readonly #dependencies: () => KeeperDependencies;
  readonly #ready: Promise<void>;
  /** Version of the list on disk. */
  #keptVersion = 0;

  constructor(state: KeeperState, dependencies: () => KeeperDependencies) {
    this.#state = state;
    this.#dependencies = dependencies;
    this.#keeper = new KillListKeeper({
      ask: async ({ have }) => ({ ageMs: 0, list: await dependencies().load(have) }),
      now: () => dependencies().now(),
      refreshMs: FRESH_MS,
      boundMs: FRESH_MS,
      waitMs: WAIT_MS,
      onNewer: (list) => this.#keep(list),
      onError: (message, error) => dependencies().onError(message, error),
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
      const kept = await this.#state.storage.get([PARTS, WHOLE]);
      const parts = kept.get(PARTS) as number | undefined;
      const list = parts === undefined ? (kept.get(WHOLE) as KillList | undefined) : await this.#read(partKeys(parts));
      if (list === undefined) return;
      this.#keptVersion = list.version;
      this.#keeper.adopt(list);
    } catch (error) {
      this.#dependencies().onError('the kill list on disk could not be read', error);
    }
  }

  async #read(keys: string[]): Promise<KillList> {
    const parts = await this.#state.storage.get(keys);
    return JSON.parse(keys.map((key) => parts.get(key)).join(''));
  }

  #keep(list: KillList): void {
    if (list.version <= this.#keptVersion) return;
    this.#keptVersion = list.version;
    const text = JSON.stringify(list);
    const keys = partKeys(Math.ceil(text.length / PART_LENGTH));
    const parts = keys.map((key, i) => [key, text.slice(i * PART_LENGTH, (i + 1) * PART_LENGTH)]);
    const entries = { ...Object.fromEntries(parts), [PARTS]: keys.length };
    const failed = (error: unknown) => this.#dependencies().onError('the kill list could not be kept', error);
    // The runtime sends no answer before it is on disk: an object that restarts must not know less than it has said.
    this.#state.waitUntil(this.#state.storage.put(entries).catch(failed));
  }
}
