/**
 * An encoder with a memory: texts asked for most are answered from it, and a text that is being computed is computed once
 * for all who ask. The memory is of one encoder, hence of one model and one space: another model begins with none.
 */
import { HarnessError } from '../../shared/problem.ts';
import { MAX_TIMER_MS } from './batcher.ts';
import type { EncodeOptions, Encoder } from './encoder.ts';
import { type KnownVector, VectorCache } from './vector-cache.ts';

/** Texts of one call that it did not compute itself; they count once it is answered. */
interface Tally {
  hits: number;
  joined: number;
}

/**
 * A text that is being computed. Emptied when it is: tables that a Map has outgrown point to the next one, so that what
 * passes through a Map is kept until the next full garbage collection, which must not happen to vectors.
 */
interface Underway {
  known: Promise<KnownVector> | undefined;
}

/** `inner` behind a cache of at most `maxBytes`; closing it closes `inner`. Its vectors are shared: copy before changing one. */
export function cachedEncoder(inner: Encoder, { maxBytes }: { maxBytes: number }): Encoder {
  const cache = new VectorCache({ maxBytes, dimension: inner.dimension });
  const underway = new Map<string, Underway>();
  const counts = { hits: 0, joined: 0 };
  /** Calls whose deadline passed while they waited for another's computation. */
  let expired = 0;
  let [active, closing] = [0, false];
  const idle = Promise.withResolvers<void>();

  /** Computes texts that nobody else does at this moment: one call of the inner encoder, one promise per text. */
  const lead = (texts: readonly string[], options: EncodeOptions): Promise<KnownVector>[] => {
    const batch = inner.encode(texts, options);
    return texts.map((text, i) => {
      const own: Underway = { known: undefined };
      const end = () => {
        underway.delete(text);
        own.known = undefined;
      };
      const known = batch.then(
        ({ vectors, tokens }) => {
          end();
          // A copy: a row of a batch would keep the whole batch in memory.
          const entry = { vector: vectors[i]!.slice(), tokens: tokens[i]! };
          cache.set(text, entry);
          return entry;
        },
        (error: unknown) => {
          end();
          throw error;
        },
      );
      own.known = known;
      underway.set(text, own);
      return known;
    });
  };

  /**
   * Waits for another's computation. When that fails, for the other's deadline or departure say, the text is computed
   * again.
   */
  const join = async (text: string, options: EncodeOptions, tally: Tally): Promise<KnownVector> => {
    for (;;) {
      const other = underway.get(text)?.known;
      if (other === undefined) return (await Promise.all(lead([text], options)))[0]!;
      const known = await asLongAs(options, other).catch(() => undefined);
      options.signal?.throwIfAborted();
      if (known === undefined && isLate(options)) {
        expired++;
        throw new HarnessError('deadline_exceeded', 'The deadline passed while the text was encoded for another call.');
      }
      if (known === undefined) continue;
      tally.joined++;
      return known;
    }
  };

  /** What is known of a text, or soon will be; `undefined` when somebody has to compute it. */
  const look = (text: string, options: EncodeOptions, tally: Tally): KnownVector | Promise<KnownVector> | undefined => {
    const known = cache.get(text);
    if (known !== undefined) tally.hits++;
    return known ?? (underway.has(text) ? join(text, options, tally) : undefined);
  };

  const obtain = async (texts: readonly string[], options: EncodeOptions, tally: Tally): Promise<KnownVector[]> => {
    // Most calls are of one text, and need no book-keeping of which is where.
    if (texts.length === 1) return [await (look(texts[0]!, options, tally) ?? lead(texts, options)[0]!)];
    const found = new Map<string, KnownVector | Promise<KnownVector>>();
    const missing = new Set<string>();
    for (const text of texts) {
      if (found.has(text) || missing.has(text)) {
        tally.joined++;
        continue;
      }
      const known = look(text, options, tally);
      if (known === undefined) missing.add(text);
      else found.set(text, known);
    }
    const led = [...missing];
    if (led.length > 0) for (const [i, known] of lead(led, options).entries()) found.set(led[i]!, known);
    return Promise.all(texts.map((text) => found.get(text)!));
  };

  return {
    model: inner.model,
    spaceId: inner.spaceId,
    studentSha256: inner.studentSha256,
    dimension: inner.dimension,
    cutDimensions: inner.cutDimensions,
    get device() {
      return inner.device;
    },
    get failure() {
      return inner.failure;
    },
    async encode(texts, options = {}) {
      if (closing) throw new HarnessError('not_ready', 'The encoder is closing; it takes no new work.');
      // What is too late or gone already is the inner encoder's to refuse and to count.
      if (options.signal?.aborted || isLate(options)) return inner.encode(texts, options);
      active++;
      try {
        const tally = { hits: 0, joined: 0 };
        const known = await obtain(texts, options, tally);
        counts.hits += tally.hits;
        counts.joined += tally.joined;
        return { vectors: known.map(({ vector }) => vector), tokens: known.map(({ tokens }) => tokens) };
      } finally {
        active--;
        if (closing && active === 0) idle.resolve();
      }
    },
    stats() {
      const { entries, bytes } = cache.size;
      const own = inner.stats();
      return { ...own, ...counts, expired: own.expired + expired, cachedTexts: entries, cachedBytes: bytes };
    },
    async close() {
      closing = true;
      if (active === 0) idle.resolve();
      await idle.promise;
      await inner.close();
      cache.clear();
    },
  };
}

const leftMs = ({ deadlineAtMs = Number.POSITIVE_INFINITY }: EncodeOptions): number =>
  deadlineAtMs - performance.timeOrigin - performance.now();
const isLate = (options: EncodeOptions): boolean => leftMs(options) <= 0;

/** The promise's outcome, unless the caller goes away or its deadline passes before: rejects then. */
function asLongAs<T>(options: EncodeOptions, promise: Promise<T>): Promise<T> {
  const { signal } = options;
  const ms = Math.min(Math.ceil(leftMs(options)), MAX_TIMER_MS);
  return new Promise<T>((resolve, reject) => {
    const giveUp = () => reject(signal?.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    const timer = setTimeout(giveUp, ms);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
    });
  });
}
