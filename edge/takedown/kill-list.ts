/**
 * The kill list as it is kept in one place, an isolate or the Durable Object, with the time up to which it is known to
 * hold. Nobody serves by a list older than a bound without asking first; those who ask often never wait, because the list
 * is refreshed behind them well before.
 */
import type { KillList, KillListNews } from '../../shared/contract/takedown.ts';
import { TIMED_OUT, within } from '../deadline.ts';
import { onceAMinute } from '../once-a-minute.ts';

export interface KillListOptions {
  /** Asks the next keeper; `have` is the version here, `want` the newest heard of. */
  ask: (versions: { have: number; want: number }) => Promise<KillListNews>;
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  /** Age from which the list is refreshed behind a request. */
  refreshMs: number;
  /** Age from which a request waits for that. */
  boundMs: number;
  /** Longest such wait; then the list serves as it is. */
  waitMs: number;
  /** Told of each newer list. */
  onNewer?: (list: KillList) => void;
  onError: (message: string, error: unknown) => void;
}

/**
 * How long nobody waits after the next keeper failed or kept a request waiting in vain; in the background it is still
 * asked.
 */
const AWAY_MS = 1_000;

interface Flight {
  done: Promise<void>;
  startedAtMs: number;
}

export class KillListKeeper {
  readonly counts = { asked: 0, failed: 0, waited: 0, overdue: 0 };
  readonly #options: KillListOptions;
  readonly #sayFailed: KillListOptions['onError'];
  #list: KillList = { version: 0, generation: null, adIds: [] };
  #asOfMs = Number.NEGATIVE_INFINITY;
  #awayAtMs = Number.NEGATIVE_INFINITY;
  #heardVersion = 0;
  #askedVersion = 0;
  #flight: Flight | undefined;

  constructor(options: KillListOptions) {
    this.#options = options;
    this.#sayFailed = onceAMinute(options.now, options.onError);
  }

  get list(): KillList {
    return this.#list;
  }

  /** Milliseconds since the list was certainly the newest; infinite before the first answer. */
  get ageMs(): number {
    return this.#options.now() - this.#asOfMs;
  }

  /** A version that someone spoke of; a newer one makes the next {@link keepUp} ask and wait. */
  heard(version: number): void {
    this.#heardVersion = Math.max(this.#heardVersion, version);
  }

  /** Takes a list that is not older than the one here. */
  adopt(list: KillList): void {
    if (list.version <= this.#list.version) return;
    this.#list = list;
    this.#options.onNewer?.(list);
  }

  /** Called for every request, before it serves. Never rejects; waits at most `waitMs`. */
  async keepUp(waitUntil: (work: Promise<unknown>) => void): Promise<void> {
    const { now, refreshMs, boundMs, waitMs } = this.#options;
    const tooOld = this.ageMs >= boundMs;
    const unheard = this.#heardVersion > this.#list.version;
    if (this.ageMs >= refreshMs || (unheard && this.#heardVersion > this.#askedVersion)) {
      const begun = this.#refresh();
      // Kept alive by the request that asks: the others would only hang about until its answer is there.
      if (begun !== undefined) waitUntil(begun);
    }
    const away = now() - this.#awayAtMs < AWAY_MS;
    if (away || this.#flight === undefined || !(tooOld || unheard)) return;
    this.counts.waited += 1;
    if ((await within(this.#flight.done, waitMs)) !== TIMED_OUT) return;
    this.counts.overdue += 1;
    this.#awayAtMs = now();
  }

  /** Begins a refresh unless one began lately enough to be good for this request. */
  #refresh(): Promise<void> | undefined {
    const { now, boundMs } = this.#options;
    const startedAtMs = now();
    const wantsMore = this.#heardVersion > this.#askedVersion;
    if (this.#flight !== undefined && !wantsMore && startedAtMs - this.#flight.startedAtMs < boundMs) {
      return undefined;
    }
    this.#askedVersion = this.#heardVersion;
    const flight: Flight = { startedAtMs, done: Promise.resolve() };
    flight.done = this.#ask(startedAtMs).finally(() => {
      if (this.#flight === flight) this.#flight = undefined;
    });
    this.#flight = flight;
    return flight.done;
  }

  async #ask(startedAtMs: number): Promise<void> {
    const { ask, now, boundMs } = this.#options;
    const have = this.#list.version;
    this.counts.asked += 1;
    try {
      const { ageMs, list } = await ask({ have, want: this.#heardVersion });
      // Says nothing of what was taken down since: not that it still holds, and not that anything is to be shown again.
      if (list !== undefined && list.version < have)
        throw new Error(`expected version ${have} or later, got ${list.version}`);
      if (list !== undefined) this.adopt(list);
      // From the asking on, not from the answer: what changed in between may be missing.
      this.#asOfMs = Math.max(this.#asOfMs, startedAtMs - ageMs);
      if (ageMs > boundMs) throw new Error(`expected a list of the last ${boundMs} ms, got one of ${ageMs} ms ago`);
      this.#awayAtMs = Number.NEGATIVE_INFINITY;
    } catch (error) {
      this.counts.failed += 1;
      this.#sayFailed('the kill list could not be refreshed', error);
      this.#awayAtMs = now();
    }
  }
}
