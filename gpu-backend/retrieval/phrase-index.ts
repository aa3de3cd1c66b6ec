/**
 * Which of many phrases match a query, under the rules of shared/match-type.ts. Each phrase is filed under its rarest word
 * (so that "shoes" brings up "shoes" and not every phrase with shoes in it), and a query looks under its own words only.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MatchForm, MatchType } from '../../shared/match-type.ts';
import { matches } from '../../shared/match-type.ts';

/** How well a phrase matches, at the narrowest type that it matches under. */
export interface PhraseMatch {
  phrase: number;
  narrowest: MatchType;
  /** Share of the query's words that the phrase has; 1 for an exact match. */
  share: number;
}

/** Phrases filed before others get a turn: about a millisecond. */
const FILED = 2_048;

/** Of the words of a query, the share that a phrase has, which may say one of them more often than the query does. */
function shareOf(phrase: readonly string[], query: readonly string[]): number {
  const left = [...query];
  for (const word of phrase) {
    const at = left.indexOf(word);
    if (at >= 0) left.splice(at, 1);
  }
  return (query.length - left.length) / query.length;
}

export class PhraseIndex {
  readonly #formOf: (text: string) => MatchForm;
  readonly #numberOf = new Map<string, number>();
  /** By number; empty where a phrase was removed. */
  readonly #forms: (MatchForm | undefined)[] = [];
  /** How many phrases have a word. */
  readonly #having = new Map<string, number>();
  readonly #filed = new Map<string, number[]>();
  /**
   * Phrases from `#next` on are not filed yet: they wait for the next query, so that of many that come together all are
   * counted first.
   */
  #waiting: number[] = [];
  #next = 0;

  /** `formOf` makes the forms of the phrases; queries are to be given in the same. */
  constructor(formOf: (text: string) => MatchForm) {
    this.#formOf = formOf;
  }

  /** The phrase's number; the same text has the same until it is removed. */
  add(text: string): number {
    const known = this.#numberOf.get(text);
    if (known !== undefined) return known;
    const phrase = this.#forms.length;
    const form = this.#formOf(text);
    this.#numberOf.set(text, phrase);
    this.#forms.push(form);
    for (const word of form.words) this.#having.set(word, (this.#having.get(word) ?? 0) + 1);
    this.#waiting.push(phrase);
    return phrase;
  }

  /** Forgets a phrase. */
  remove(text: string): void {
    const phrase = this.#numberOf.get(text);
    if (phrase === undefined) return;
    this.#numberOf.delete(text);
    for (const word of this.#forms[phrase]!.words) {
      const having = this.#having.get(word)! - 1;
      if (having === 0) this.#having.delete(word);
      else this.#having.set(word, having);
      // It is filed under one of its words, or waits.
      const list = this.#filed.get(word);
      const at = list?.indexOf(phrase) ?? -1;
      if (at < 0) continue;
      list!.splice(at, 1);
      if (list!.length === 0) this.#filed.delete(word);
    }
    this.#forms[phrase] = undefined;
  }

  /** How many phrases there are. */
  get size(): number {
    return this.#numberOf.size;
  }

  /** The number of a text that was added. */
  numberOf(text: string): number | undefined {
    return this.#numberOf.get(text);
  }

  /** The phrases that match the query, each once. */
  matching(query: string): PhraseMatch[] {
    this.#file();
    const form = this.#formOf(query);
    const found: PhraseMatch[] = [];
    for (const word of new Set(form.words)) {
      for (const phrase of this.#filed.get(word) ?? []) {
        const keyword = this.#forms[phrase]!;
        if (!matches(keyword, form, 'broad')) continue;
        const exact = matches(keyword, form, 'exact');
        const narrowest = exact ? 'exact' : matches(keyword, form, 'phrase') ? 'phrase' : 'broad';
        found.push({ phrase, narrowest, share: exact ? 1 : shareOf(keyword.words, form.words) });
      }
    }
    return found;
  }

  /** Files what waits, with others running in between, so that no query has to. */
  async settle(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#file(FILED);
      await nextTurn();
    }
  }

  #file(most = Number.POSITIVE_INFINITY): void {
    const end = Math.min(this.#waiting.length, this.#next + most);
    for (; this.#next < end; this.#next++) {
      const phrase = this.#waiting[this.#next]!;
      const [first, ...others] = this.#forms[phrase]?.words ?? [];
      if (first === undefined) continue;
      const rarest = others.reduce((a, b) => (this.#having.get(b)! < this.#having.get(a)! ? b : a), first);
      const list = this.#filed.get(rarest);
      if (list === undefined) this.#filed.set(rarest, [phrase]);
      else list.push(phrase);
    }
    if (this.#next < this.#waiting.length) return;
    this.#waiting = [];
    this.#next = 0;
  }
}
