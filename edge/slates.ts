/**
 * The slate: what the auction makes of a list, ads in their slots with their prices. It depends on the list, the kill
 * list, the auction's rules, the device and the number of slots, and on no person; so it is remembered beside the list
 * until one of these changes. Where an ad has hours, the slate depends on the time too and is made anew for every
 * request.
 */
import { type AuctionConfig, type AuctionSlot, auction as held } from '../shared/auction.ts';
import type { Candidate } from '../shared/contract/retrieve.ts';
import type { KeyRing, TokenTail } from '../shared/signature.ts';
import { clickSigner } from './click.ts';
import { eligible, type ShownWhere } from './eligibility.ts';

/** One ad of a page. */
export interface SlateSlot extends AuctionSlot<Candidate> {
  /** The retrievers that found the ad, for the log. */
  retrievers: string[];
  /** The click token of this slot on one page. */
  sign: (tail: TokenTail) => string;
}

export type Slate = readonly SlateSlot[];

/** `killed` is of the configuration in use: another set when anything was taken down or came back. A list is of one market. */
export interface SlateTerms extends ShownWhere {
  auction: AuctionConfig;
  /** Slots wanted. */
  slots: number;
}

/** Slates of a list that are remembered together: for phones and for desktops. */
const MAX_SLATES = 2;

export class Slates {
  readonly #keys: KeyRing;
  /**
   * By list, then by device and slots; all of one kill list and one auction, and forgotten with them: a list that stays
   * does not keep an old, long kill list alive.
   */
  #remembered = new WeakMap<readonly Candidate[], Map<string, Slate>>();
  #under: Pick<SlateTerms, 'killed' | 'auction'> | undefined;

  constructor(keys: KeyRing) {
    this.#keys = keys;
  }

  of(candidates: readonly Candidate[], terms: SlateTerms): Slate {
    const { killed, auction, device, slots } = terms;
    if (killed !== this.#under?.killed || auction !== this.#under.auction) {
      this.#under = { killed, auction };
      this.#remembered = new WeakMap();
    }
    const view = `${device}/${slots}`;
    const remembered = this.#remembered.get(candidates);
    const known = remembered?.get(view);
    if (known !== undefined) return known;
    const slate = this.#make(candidates, terms);
    if (candidates.some(({ schedule }) => schedule !== undefined)) return slate;
    if (remembered !== undefined && remembered.size < MAX_SLATES) remembered.set(view, slate);
    else this.#remembered.set(candidates, new Map([[view, slate]]));
    return slate;
  }

  #make(candidates: readonly Candidate[], terms: SlateTerms): Slate {
    const won = held(eligible(candidates, terms), { ...terms.auction, slots: terms.slots });
    return won.map((slot) => {
      const { position: p, priceMicros: c } = slot;
      const { adId: a, landingUrl: d, sources } = slot.candidate;
      const retrievers = sources.map(({ retriever }) => retriever);
      return { ...slot, retrievers, sign: clickSigner(this.#keys, { d, a, p, c }) };
    });
  }
}
