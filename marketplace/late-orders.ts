/** Purchases that have been decided on and not reported yet, in the order in which their time comes. */
import type { Conversion, EdgeClient } from './visitor.ts';

export interface LateOrder {
  readonly atMs: number;
  readonly conversion: Conversion;
  readonly client: EdgeClient;
  /** Called with whether it was accepted. */
  readonly reported: (accepted: boolean) => void;
}

export class LateOrders {
  /** The last one first, so that the next one is cheap to take. */
  readonly #waiting: LateOrder[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  add(order: LateOrder): void {
    let low = 0;
    let high = this.#waiting.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isLater(this.#waiting[middle]!, order)) low = middle + 1;
      else high = middle;
    }
    this.#waiting.splice(low, 0, order);
  }

  /** Takes the next one whose time comes before `atMs`. */
  take(atMs: number): LateOrder | undefined {
    const next = this.#waiting.at(-1);
    return next !== undefined && next.atMs < atMs ? this.#waiting.pop() : undefined;
  }
}

/** By time, then by id, so that the order is the same whichever was added first. */
function isLater(a: LateOrder, b: LateOrder): boolean {
  return a.atMs === b.atMs ? a.conversion.orderId > b.conversion.orderId : a.atMs > b.atMs;
}
