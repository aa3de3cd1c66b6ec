/**
 * What a worker was handed and has not begun. It takes its next batch itself, at the moment it is free: whatever has come by
 * then and is still wanted, so that it neither waits for another thread to hand it on nor runs for one text where there are two.
 */

/** Texts handed over together. */
export interface Run {
  /** The sender's number for it. */
  id: number;
  texts: string[];
  /** Epoch milliseconds of each text after which nobody wants it; Infinity for none. */
  deadlinesAtMs: number[];
  /** Tokens of all of them, by the sender's estimate. */
  cost: number;
}

/** The next batch: the oldest runs, and of their texts those that are wanted. */
export interface Taken {
  runs: number;
  /** Texts of those runs, wanted or not. */
  size: number;
  texts: string[];
  /** Place of each wanted text among all of the runs. */
  places: number[];
}

export class Inbox {
  readonly #runs: (Omit<Run, 'texts'> & { texts: (string | undefined)[] })[] = [];

  get empty(): boolean {
    return this.#runs.length === 0;
  }

  add(run: Run): void {
    this.#runs.push(run);
  }

  /** Nobody wants this text of a run any more; too late where the run was taken. */
  withdraw(id: number, index: number): void {
    const run = this.#runs.find((other) => other.id === id);
    if (run !== undefined) run.texts[index] = undefined;
  }

  /** The oldest runs that keep within the budget together, one at least; there must be one. */
  take(tokenBudget: number, nowMs: number): Taken {
    const taken: Taken = { runs: 0, size: 0, texts: [], places: [] };
    let cost = 0;
    for (const run of this.#runs) {
      cost += run.cost;
      if (taken.runs > 0 && cost > tokenBudget) break;
      taken.runs++;
      for (const [i, text] of run.texts.entries()) {
        const place = taken.size++;
        if (text === undefined || run.deadlinesAtMs[i]! <= nowMs) continue;
        taken.texts.push(text);
        taken.places.push(place);
      }
    }
    this.#runs.splice(0, taken.runs);
    return taken;
  }
}
