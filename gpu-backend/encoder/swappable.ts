/** An encoder whose model is exchanged while it is asked: calls go to the newest, the one before finishes what it took. */
import { requireSameSpace } from '../../shared/bundle.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Encoder, EncoderStats } from './encoder.ts';

export interface SwappableEncoder extends Encoder {
  /**
   * Calls go to `next` from now on; resolves when the one before has answered all of its own and is closed. Throws
   * `space_mismatch` for another space, and then leaves everything as it was; once closed `not_ready`, and closes `next`.
   */
  swap(next: Encoder): Promise<void>;
}

const add = (a: EncoderStats, b: EncoderStats): EncoderStats =>
  Object.fromEntries(Object.entries(a).map(([name, n]) => [name, n + b[name as keyof EncoderStats]])) as never;

export function swappableEncoder(first: Encoder): SwappableEncoder {
  let current = first;
  let closing = false;
  /** Of those that are closed: counters go on over a swap. */
  let past: EncoderStats | undefined;
  const draining = new Map<Encoder, Promise<void>>();

  const retire = (encoder: Encoder): Promise<void> => {
    const closed = encoder.close().finally(() => {
      draining.delete(encoder);
      past = past === undefined ? encoder.stats() : add(past, encoder.stats());
    });
    draining.set(encoder, closed);
    return closed;
  };

  return {
    get model() {
      return current.model;
    },
    get spaceId() {
      return current.spaceId;
    },
    get studentSha256() {
      return current.studentSha256;
    },
    get dimension() {
      return current.dimension;
    },
    get cutDimensions() {
      return current.cutDimensions;
    },
    get device() {
      return current.device;
    },
    get failure() {
      return current.failure;
    },
    encode: (texts, options) => current.encode(texts, options),
    stats: () => [current, ...draining.keys()].map((encoder) => encoder.stats()).reduce(add, past ?? ZERO),
    async swap(next) {
      requireSameSpace({ what: current.model, spaceId: current.spaceId }, { what: next.model, spaceId: next.spaceId });
      if (closing) {
        await next.close();
        throw new HarnessError('not_ready', 'The encoder is closing; it takes no other model.');
      }
      const before = current;
      current = next;
      await retire(before);
    },
    async close() {
      closing = true;
      await Promise.all([...draining.values(), current.close()]);
    },
  };
}

const ZERO: EncoderStats = {
  encoded: 0,
  hits: 0,
  joined: 0,
  batches: 0,
  refused: 0,
  expired: 0,
  cancelled: 0,
  restarts: 0,
  fallbacks: 0,
  queued: 0,
  running: 0,
  cachedTexts: 0,
  cachedBytes: 0,
};
