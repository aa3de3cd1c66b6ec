/** In how many texts each word occurs, counted in bounded memory. */

/** Words counted at a time, however many typos a log has. */
const MOST_WORDS = 2_000_000;

/** Where there are too many words, those met once so far are forgotten (as Manku and Motwani, VLDB 2002). */
export class WordCounts extends Map<string, number> {
  /** Counts the words of one text, each once. */
  add(words: Iterable<string>): void {
    for (const word of new Set(words)) this.set(word, (this.get(word) ?? 0) + 1);
    if (this.size > MOST_WORDS) for (const [word, count] of this) if (count === 1) this.delete(word);
  }
}
