/** Negative keywords: whose ads a query must not bring up, whichever retriever would find them. */
import type { Keyword } from '../../shared/contract/keyword.ts';
import { literalForm, type MatchType } from '../../shared/match-type.ts';
import { PhraseIndex } from './phrase-index.ts';

/** A phrase number and a match type in one number. */
const code = (phrase: number, match: MatchType): number =>
  phrase * 3 + (match === 'exact' ? 0 : match === 'phrase' ? 1 : 2);

/** Negative keywords by owner: an ad's slot, or the id of a campaign. */
export class NegativeIndex<Owner> {
  readonly #phrases = new PhraseIndex(literalForm);
  readonly #codes = new Map<Owner, readonly number[]>();

  /** Sets the owner's negatives, in place of those it had; none takes it out. */
  put(owner: Owner, negatives: readonly Keyword[] | undefined): void {
    if (negatives === undefined || negatives.length === 0) this.#codes.delete(owner);
    else
      this.#codes.set(
        owner,
        negatives.map(({ text, match }) => code(this.#phrases.add(text), match)),
      );
  }

  /** Whether an owner holds the query off; `undefined` when none does, which is so for most queries. */
  against(query: string): ((owner: Owner) => boolean) | undefined {
    if (this.#codes.size === 0) return undefined;
    const hit = new Set<number>();
    for (const { phrase, narrowest } of this.#phrases.matching(query)) {
      hit.add(code(phrase, 'broad'));
      if (narrowest !== 'broad') hit.add(code(phrase, 'phrase'));
      if (narrowest === 'exact') hit.add(code(phrase, 'exact'));
    }
    if (hit.size === 0) return undefined;
    return (owner) => this.#codes.get(owner)?.some((one) => hit.has(one)) ?? false;
  }
}
