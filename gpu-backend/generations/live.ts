/**
 * The live state: the view that queries see, and every change since its snapshot, so that a newer generation can take its
 * place without losing one. Changes hold from the moment the call returns. Revisions decide: a change that is not newer
 * than what is known of its ad is ignored, so the order in which changes arrive does not matter.
 */
import { adText } from '../../shared/ad-text.ts';
import { requireSameSpace } from '../../shared/bundle.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { inTurns } from '../in-turns.ts';
import type { LoadedGeneration } from './load.ts';
import type { AdVector } from './vectors.ts';
import { View } from './view.ts';

/** An ad as the catalogue has it now, with its vector where its text is newer than the generation's. */
export interface CurrentAd {
  ad: Ad;
  revision: number;
  vector?: AdVector | undefined;
}

/** In what the catalogue differs from a generation's snapshot. */
export interface CatalogueSince {
  /** Ads that are new or have a later revision. */
  changed: readonly CurrentAd[];
  /** Ids of ads that the catalogue has no more. */
  gone: readonly string[];
  /** Ads of bulk loads that are left for the next generation. */
  left: readonly LeftAds[];
}

/** Ads of one commit that the next generation brings, and none before it. */
export interface LeftAds {
  revision: number;
  ads: number;
}

type Change =
  | { kind: 'put'; ad: Ad; revision: number; vector: AdVector | undefined }
  | { kind: 'delete'; revision: number };

export interface LiveStats {
  generation: number | null;
  ads: number;
  /** Ads that are searched outside the index. */
  delta: number;
  swaps: number;
  /** Changes that came later than a newer one of the same ad. */
  stale: number;
  /** Changes that are remembered for the next generation. */
  changes: number;
}

export class Live {
  readonly #spaceId: string;
  #view: View | undefined;
  /** The newest change of each ad that the view's snapshot does not hold. */
  #changes = new Map<string, Change>();
  /** The view's snapshot holds every change up to this revision. */
  #covered = -1;
  /** How many ads each commit behind it left for the next generation. */
  #left = new Map<number, number>();
  #swaps = 0;
  #stale = 0;

  /** `spaceId` is the encoder's: generations of another space are refused. */
  constructor({ spaceId }: { spaceId: string }) {
    this.#spaceId = spaceId;
  }

  /** The state of this moment; `undefined` before the first generation. Use it without awaiting in between. */
  get view(): View | undefined {
    return this.#view;
  }

  get spaceId(): string {
    return this.#spaceId;
  }

  stats(): LiveStats {
    return {
      generation: this.#view?.number ?? null,
      ads: this.#view?.ads ?? 0,
      delta: this.#view?.delta ?? 0,
      swaps: this.#swaps,
      stale: this.#stale,
      changes: this.#changes.size,
    };
  }

  /** An ad created or changed: holds for the next query. Pass a vector where its text is new; without, it is found lexically only. */
  applyUpsert(ad: Ad, revision: number, vector?: AdVector): void {
    this.#apply(ad.id, { kind: 'put', ad, revision, vector });
  }

  /** An ad deleted: never returned again. */
  applyDelete(id: string, revision: number): void {
    this.#apply(id, { kind: 'delete', revision });
  }

  /** Ads of a commit that are not searched before the next generation; nothing happens when they were counted. */
  leave({ revision, ads }: LeftAds): void {
    if (revision <= this.#covered || this.#left.has(revision)) return;
    this.#left.set(revision, ads);
    this.#view?.leave(ads);
  }

  /**
   * Replaces the live generation by this one, at once, with every newer change applied: most of them before, while the
   * one that goes is searched, and what comes meanwhile at the end. Where the generation may be older than changes that
   * are no longer in memory (at start, after a rollback), the second argument says in what the catalogue differs now.
   * The one replaced is closed. Throws `space_mismatch`.
   */
  async swap(generation: LoadedGeneration, since: CatalogueSince = { changed: [], gone: [], left: [] }): Promise<void> {
    requireSameSpace(
      { what: 'the encoder', spaceId: this.#spaceId },
      { what: `generation ${generation.manifest.number}`, spaceId: generation.manifest.spaceId },
    );
    const view = new View(generation);
    let covered = -1;
    await inTurns(generation.ads, ({ revision }) => {
      covered = Math.max(covered, revision);
    });
    await inTurns(since.changed, ({ ad, revision, vector }) => view.put(ad, revision, vector));
    await inTurns(since.gone, (id) => view.remove(id));
    const remaining = new Map<string, Change>();
    const follow = ([id, change]: [string, Change]) => {
      // What came before for the ad is followed already where this one came meanwhile.
      remaining.delete(id);
      if (change.revision <= (view.revisionOf(id) ?? -1)) return;
      enact(view, id, change);
      // A deletion stays known, so that a put that was overtaken by it cannot bring the ad back; not for ever: of before the
      // snapshot of the generation that now goes, no put is under way any more.
      if (change.kind === 'put' || change.revision > this.#covered) remaining.set(id, change);
    };
    // In turns: a new ad's place among the nearest takes a millisecond to find, and a build takes long enough for thousands.
    // What comes meanwhile is put at the end, where the same walk meets it.
    const changes = this.#changes.entries();
    await inTurns(changes.take(this.#changes.size), follow);
    for (const change of changes) follow(change);
    this.#changes = remaining;
    this.#covered = covered;
    for (const { revision, ads } of since.left) this.#left.set(revision, ads);
    for (const [revision, ads] of this.#left) {
      if (revision <= this.#covered) this.#left.delete(revision);
      else view.leave(ads);
    }
    void this.#view?.close(); // queries that are under way in it are answered first
    this.#view = view;
    this.#swaps++;
  }

  #apply(id: string, change: Change): void {
    const known = Math.max(this.#changes.get(id)?.revision ?? -1, this.#view?.revisionOf(id) ?? -1);
    if (change.revision <= known) {
      this.#stale++;
      return;
    }
    const before = this.#changes.get(id);
    // A patch that brings no vector must not lose the one that an earlier change of the same text brought.
    const vector =
      change.kind === 'put' && before?.kind === 'put' ? (change.vector ?? carried(before, change.ad)) : undefined;
    // At the end, also where the ad was changed before: a swap under way follows what comes in this order.
    this.#changes.delete(id);
    this.#changes.set(id, change.kind === 'put' && vector !== undefined ? { ...change, vector } : change);
    if (this.#view !== undefined) enact(this.#view, id, change);
  }
}

function enact(view: View, id: string, change: Change): void {
  if (change.kind === 'delete') view.remove(id);
  else view.put(change.ad, change.revision, change.vector);
}

function carried(before: Extract<Change, { kind: 'put' }>, ad: Ad): AdVector | undefined {
  return adText(before.ad) === adText(ad) ? before.vector : undefined;
}
