/**
 * The configuration that the edge serves by: the bundled default, then the snapshot in KV, then the backend's, then the
 * last good one. It is replaced as a whole or not at all, and its version and generation only grow.
 */
import { ServingConfig } from '../shared/contract/config.ts';
import type { News } from './backend.ts';
import { type ConfigSnapshot, SNAPSHOT_INTERVAL_MS } from './config-snapshot.ts';
import { within } from './deadline.ts';
import { Serving } from './serving.ts';

export interface ConfigStoreOptions {
  bundled: ServingConfig;
  /** Asks the backend for its configuration. */
  load: () => Promise<unknown>;
  /** Where an isolate that knows nothing looks beside the backend. */
  snapshot?: ConfigSnapshot | undefined;
  /** Milliseconds of a clock that does not go back. */
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
  source: 'bundled' | 'kv' | 'backend';
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

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class ConfigStore {
  readonly #options: ConfigStoreOptions;
  #serving: Serving;
  #generation: number | null;
  #source: ConfigState['source'] = 'bundled';
  #snapshotRead = false;
  #snapshotFailed = false;
  #snapshotWritten = 0;
  #snapshotDueAtMs = Number.NEGATIVE_INFINITY;
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
    // Kept alive by the request that begins it: the others would hang about until its answer is there, or for long if it died.
    if ((due || news) && this.#underWay === undefined) waitUntil(this.refresh().then(() => this.#remember()));
    if (age >= staleMs && this.#flight?.awaited) await within(this.#flight.done, waitMs);
  }

  /**
   * The refresh under way; one that died with its request no longer counts after a while, or it would block all later
   * ones.
   */
  get #underWay(): Flight | undefined {
    const { now, staleMs } = this.#options;
    return this.#flight !== undefined && now() - this.#flight.startedAtMs < 2 * staleMs ? this.#flight : undefined;
  }

  /** One refresh at a time; never rejects. */
  refresh(): Promise<void> {
    if (this.#underWay !== undefined) return this.#underWay.done;
    const { now, staleMs } = this.#options;
    const startedAtMs = now();
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
    const recalled = this.#recall();
    try {
      if (this.#offer(await this.#options.load())) return;
      await recalled;
    } catch (error) {
      await recalled;
      this.#note(`not refreshed: ${reasonOf(error)}`);
    }
  }

  /** Until it was read once, or is not needed: takes the snapshot for what it is, perhaps old, and confirmed by nobody. */
  async #recall(): Promise<void> {
    const { snapshot } = this.#options;
    if (snapshot === undefined || this.#snapshotRead || this.#source === 'backend') return;
    try {
      const offered = await snapshot.read();
      this.#snapshotRead = true;
      const config = offered === undefined ? undefined : this.#check(offered, 'KV: ');
      if (config === undefined || config.version <= this.#serving.config.version) return;
      this.#adopt(config, 'kv');
      this.#snapshotWritten = config.version;
    } catch (error) {
      if (!this.#snapshotFailed) this.#note(`KV: not read: ${reasonOf(error)}`);
      this.#snapshotFailed = true;
    }
  }

  /** Leaves what the backend said in KV, each version that is in use for long enough. */
  async #remember(): Promise<void> {
    const { snapshot, now, onError } = this.#options;
    const { config } = this.#serving;
    if (snapshot === undefined || this.#source !== 'backend' || config.version <= this.#snapshotWritten) return;
    if (now() < this.#snapshotDueAtMs) return;
    this.#snapshotDueAtMs = now() + SNAPSHOT_INTERVAL_MS;
    try {
      if (await snapshot.write(config)) this.#snapshotWritten = config.version;
    } catch (error) {
      onError(`KV: not written: ${reasonOf(error)}`);
    }
  }

  /** The configuration as a whole, or a note of the first thing that is wrong with it. */
  #check(offered: unknown, from = ''): ServingConfig | undefined {
    const result = ServingConfig.safeParse(offered);
    if (result.success) return result.data;
    const issue = result.error.issues[0]!;
    this.#refused += 1;
    this.#note(`${from}refused: ${issue.path.join('.') || 'configuration'}: ${issue.message}`);
    return undefined;
  }

  #adopt(config: ServingConfig, source: 'kv' | 'backend'): void {
    this.#serving = new Serving(config);
    this.#source = source;
    if (config.generation !== null && config.generation > (this.#generation ?? 0)) this.#generation = config.generation;
  }

  /** Adopts what the backend offers when it is whole and not older than what is in use; says whether it was. */
  #offer(offered: unknown): boolean {
    const config = this.#check(offered);
    if (config === undefined) return false;
    const inUse = this.#serving.config.version;
    if (config.version < inUse) {
      this.#refused += 1;
      this.#note(`refused: version ${config.version} is older than ${inUse}, which is in use`);
      return false;
    }
    if (config.version > inUse || this.#source !== 'backend') this.#adopt(config, 'backend');
    this.#confirmedAtMs = this.#options.now();
    this.#lastError = null;
    return true;
  }

  #note(message: string): void {
    if (message !== this.#lastError) this.#options.onError(message);
    this.#lastError = message;
  }
}
