/** Negative keywords: whose ads a query must not bring up, whichever retriever would find them. */
import type { Keyword } from '../../shared/contract/keyword.ts';
import { literalForm, type MatchType } from '../../shared/match-type.ts';
import { PhraseIndex } from './phrase-index.ts';

/** A phrase number and a match type in one number. */
const code = (phrase: number, match: MatchType): number =>
  phrase * 3 + (match === 'exact' ? 0 : match === 'phrase' ? 1 : 2);

/** An owner's negatives, and their codes in the same order. */
interface Owned {
  negatives: readonly Keyword[];
  codes: readonly number[];
}

/** Negative keywords by owner: an ad's slot, or the id of a campaign. Phrases that no owner has any more are forgotten. */
export class NegativeIndex<Owner> {
  readonly #phrases = new PhraseIndex(literalForm);
  readonly #owned = new Map<Owner, Owned>();
  /** How many negatives have a text. */
  readonly #uses = new Map<string, number>();

  /** Sets the owner's negatives, in place of those it had; none takes it out. */
  put(owner: Owner, negatives: readonly Keyword[] = []): void {
    const before = this.#owned.get(owner)?.negatives ?? [];
    if (negatives.length === 0) this.#owned.delete(owner);
    else {
      const codes = negatives.map(({ text, match }) => code(this.#phrases.add(text), match));
      this.#owned.set(owner, { negatives, codes });
    }
    for (const { text } of negatives) this.#uses.set(text, (this.#uses.get(text) ?? 0) + 1);
    for (const { text } of before) {
      const uses = this.#uses.get(text)! - 1;
      if (uses > 0) this.#uses.set(text, uses);
      else {
        this.#uses.delete(text);
        this.#phrases.remove(text);
      }
    }
  }

  /** As {@link PhraseIndex.settle}. */
  settle(): Promise<void> {
    return this.#phrases.settle();
  }

  /** Phrases that are known. */
  get phrases(): number {
    return this.#phrases.size;
  }

  /** Whether an owner holds the query off; `undefined` when none does, which is so for most queries. */
  against(query: string): ((owner: Owner) => boolean) | undefined {
    if (this.#owned.size === 0) return undefined;
    const hit = new Set<number>();
    for (const { phrase, narrowest } of this.#phrases.matching(query)) {
      hit.add(code(phrase, 'broad'));
      if (narrowest !== 'broad') hit.add(code(phrase, 'phrase'));
      if (narrowest === 'exact') hit.add(code(phrase, 'exact'));
    }
    if (hit.size === 0) return undefined;
    return (owner) => this.#owned.get(owner)?.codes.some((one) => hit.has(one)) ?? false;
  }
}
