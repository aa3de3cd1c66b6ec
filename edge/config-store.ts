/**
 * The configuration that the edge serves by: the bundled default, then the backend's, then the last good one. It is
 * replaced as a whole or not at all, and its version and generation only grow.
 */
import { ServingConfig } from '../shared/contract/config.ts';
import type { News } from './backend.ts';
import { within } from './deadline.ts';
import { Serving } from './serving.ts';

export interface ConfigStoreOptions {
  bundled: ServingConfig;
  /** Asks the backend for its configuration. */
  load: () => Promise<unknown>;
  now: () => number;
  /** Age from which a request starts a refresh in the background. */
  refreshMs: number;
  /** Age from which a request waits for that refresh: an isolate that slept must not serve by what it knew before. */
  staleMs: number;
  /** Longest such wait. */
  waitMs: number;
  onError: (message: string) => void;
}

export interface ConfigState {
  version: number;
  generation: number | null;
  source: 'bundled' | 'backend';
  /** Since the backend last confirmed it; `null` when it never did. */
  ageMs: number | null;
  /** Why the last refresh was not adopted; `null` when it was. */
  lastError: string | null;
  refused: number;
}

interface Flight {
  done: Promise<void>;
  startedAtMs: number;
  awaited: boolean;
}

export class ConfigStore {
  readonly #options: ConfigStoreOptions;
  #serving: Serving;
  #generation: number | null;
  #source: 'bundled' | 'backend' = 'bundled';
  #confirmedAtMs: number | undefined;
  #lastError: string | null = null;
  #refused = 0;
  #flight: Flight | undefined;
  #attemptedAtMs = Number.NEGATIVE_INFINITY;
  /** Newest version that the backend's answers spoke of, and the newest that a refresh was started for. */
  #heardVersion = 0;
  #askedVersion = 0;

  constructor(options: ConfigStoreOptions) {
    this.#options = options;
    this.#serving = new Serving(options.bundled);
    this.#generation = options.bundled.generation;
  }

  get serving(): Serving {
    return this.#serving;
  }

  /** The newest generation heard of, from the configuration or from any answer. */
  get generation(): number | null {
    return this.#generation;
  }

  get state(): ConfigState {
    return {
      version: this.#serving.config.version,
      generation: this.#generation,
      source: this.#source,
      ageMs: this.#confirmedAtMs === undefined ? null : this.#options.now() - this.#confirmedAtMs,
      lastError: this.#lastError,
      refused: this.#refused,
    };
  }

  /** Takes in the headers of a backend answer; a newer version makes the next {@link keepUp} ask at once. */
  heard({ configVersion, generation }: News): void {
    if (generation !== null && generation > (this.#generation ?? 0)) this.#generation = generation;
    if (configVersion !== null && configVersion > this.#heardVersion) this.#heardVersion = configVersion;
  }

  /** Called for every request: refreshes in the background when due, and waits only when what is known is too old. */
  async keepUp(waitUntil: (work: Promise<unknown>) => void): Promise<void> {
    const { now, refreshMs, staleMs, waitMs } = this.#options;
    const age = now() - (this.#confirmedAtMs ?? Number.NEGATIVE_INFINITY);
    const due = age >= refreshMs && now() - this.#attemptedAtMs >= refreshMs;
    const news = this.#heardVersion > Math.max(this.#serving.config.version, this.#askedVersion);
    if (due || news) waitUntil(this.refresh());
    if (age >= staleMs && this.#flight?.awaited) await within(this.#flight.done, waitMs);
  }

  /** One refresh at a time; never rejects. */
  refresh(): Promise<void> {
    const { now, staleMs } = this.#options;
    const startedAtMs = now();
    // A refresh that died with its request must not stop all later ones.
    if (this.#flight !== undefined && startedAtMs - this.#flight.startedAtMs < 2 * staleMs) return this.#flight.done;
    // While the backend is away attempts follow each other; only the first after a silence is worth waiting for.
    const awaited = startedAtMs - this.#attemptedAtMs >= staleMs;
    this.#attemptedAtMs = startedAtMs;
    this.#askedVersion = this.#heardVersion;
    const done = this.#refresh().finally(() => {
      if (this.#flight?.startedAtMs === startedAtMs) this.#flight = undefined;
    });
    this.#flight = { done, startedAtMs, awaited };
    return done;
  }

  async #refresh(): Promise<void> {
    let offered: unknown;
    try {
      offered = await this.#options.load();
    } catch (error) {
      this.#note(`not refreshed: ${error instanceof Error ? error.message : error}`);
      return;
    }
    this.#offer(offered);
  }

  /** Adopts a configuration that is whole and not older than the one in use. */
  #offer(offered: unknown): void {
    const result = ServingConfig.safeParse(offered);
    if (!result.success) {
      const issue = result.error.issues[0]!;
      this.#refused += 1;
      this.#note(`refused: ${issue.path.join('.') || 'configuration'}: ${issue.message}`);
      return;
    }
    const config = result.data;
    const inUse = this.#serving.config.version;
    if (config.version < inUse) {
      this.#refused += 1;
      this.#note(`refused: version ${config.version} is older than ${inUse}, which is in use`);
      return;
    }
    if (config.version > inUse || this.#source === 'bundled') this.#serving = new Serving(config);
    if (config.generation !== null && config.generation > (this.#generation ?? 0)) this.#generation = config.generation;
    this.#source = 'backend';
    this.#confirmedAtMs = this.#options.now();
    this.#lastError = null;
  }

  #note(message: string): void {
    if (message !== this.#lastError) this.#options.onError(message);
    this.#lastError = message;
  }
}
