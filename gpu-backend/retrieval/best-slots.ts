/**
 * The best of many slots by score, kept as they come: a heap of at most so many whose root is the worst of them. However many
 * slots score alike, only those that would be among the best are compared by key.
 */

export interface BestSlotsOptions {
  limit: number;
  /** Which of two slots of one score is first. */
  before: (a: number, b: number) => boolean;
}

export class BestSlots {
  readonly #limit: number;
  readonly #before: (a: number, b: number) => boolean;
  readonly #slots: Int32Array;
  readonly #scores: Float64Array;
  #size = 0;

  constructor({ limit, before }: BestSlotsOptions) {
    this.#limit = limit;
    this.#before = before;
    this.#slots = new Int32Array(limit);
    this.#scores = new Float64Array(limit);
  }

  /** What scores less is not among the best. */
  get floor(): number {
    if (this.#size < this.#limit) return Number.NEGATIVE_INFINITY;
    return this.#limit === 0 ? Number.POSITIVE_INFINITY : this.#scores[0]!;
  }

  /** Whether {@link add} would keep the slot. */
  wants(slot: number, score: number): boolean {
    const { floor } = this;
    return score > floor || (score === floor && this.#before(slot, this.#slots[0]!));
  }

  /** Adds a slot that is wanted and not in yet. */
  add(slot: number, score: number): void {
    if (this.#size < this.#limit) this.#rise(this.#size++, slot, score);
    else this.#sink(slot, score);
  }

  /** Takes all out, best first. */
  drain(): { slot: number; score: number }[] {
    const all = Array.from({ length: this.#size }, (_, i) => ({ slot: this.#slots[i]!, score: this.#scores[i]! }));
    this.#size = 0;
    return all.sort((a, b) => b.score - a.score || (this.#before(a.slot, b.slot) ? -1 : 1));
  }

  /** Whether an entry of the heap is worse than a slot. */
  #worse(at: number, slot: number, score: number): boolean {
    const own = this.#scores[at]!;
    return own < score || (own === score && this.#before(slot, this.#slots[at]!));
  }

  #rise(from: number, slot: number, score: number): void {
    let at = from;
    for (let parent = (at - 1) >> 1; at > 0 && !this.#worse(parent, slot, score); parent = (at - 1) >> 1) {
      this.#put(at, this.#slots[parent]!, this.#scores[parent]!);
      at = parent;
    }
    this.#put(at, slot, score);
  }

  /** In the place of the worst. */
  #sink(slot: number, score: number): void {
    let at = 0;
    for (let child = 1; child < this.#size; child = 2 * at + 1) {
      const other = child + 1;
      if (other < this.#size && this.#worse(other, this.#slots[child]!, this.#scores[child]!)) child = other;
      if (!this.#worse(child, slot, score)) break;
      this.#put(at, this.#slots[child]!, this.#scores[child]!);
      at = child;
    }
    this.#put(at, slot, score);
  }

  #put(at: number, slot: number, score: number): void {
    this.#slots[at] = slot;
    this.#scores[at] = score;
  }
}
