/** The tiers under schedules that nobody would think of: publications in the middle of a call, leaders that die, isolates that share a tier. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { CachePort } from '../../../edge/cache/cache-port.ts';
import { MemoryCache } from '../../../edge/cache/memory.ts';
import { type Found, type Loaded, TieredCache } from '../../../edge/cache/tiered.ts';
import { HarnessError, type ProblemCode } from '../../../shared/problem.ts';
import { key } from '../../conformance/cache-port.ts';

const LIVES = { softMs: 10_000, revalidateMs: 5_000, hardMs: 60_000, emptyShare: 1 };
const FOLLOW_MS = 500;
const DEADLINE_MS = 2 * FOLLOW_MS;
/** As long as following and then leading may take. */
const PATIENCE_MS = 3 * FOLLOW_MS + DEADLINE_MS;

beforeEach(() => void vi.useFakeTimers({ now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

const isolate = fc.nat(1);
const behaves = fc.constantFrom('ok', 'ok', 'slow', 'refuses', 'late', 'dies');
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('find' as const), isolate, behaves }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('later' as const), ms: fc.oneof(fc.nat(500), fc.nat(12_000)) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'publish' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hear' as const), isolate }) },
);

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A backend's call, by how it behaves. */
async function call(how: string, answer: () => Loaded): Promise<Loaded> {
  const refuse = (code: ProblemCode) => Promise.reject(new HarnessError(code, code));
  if (how === 'dies') return new Promise(() => undefined);
  await after(how === 'late' ? DEADLINE_MS : how === 'slow' ? 700 : 5);
  if (how === 'late') return refuse('deadline_exceeded');
  return how === 'refuses' ? refuse('backend_unavailable') : answer();
}

/** Oldest that a list may be, by how it came. */
function oldest({ status, reason }: Found): number {
  if (reason !== undefined) return LIVES.hardMs + PATIENCE_MS;
  if (status === 'stale') return LIVES.softMs + LIVES.revalidateMs;
  return status === 'miss' ? PATIENCE_MS : LIVES.softMs;
}

it('gives every request, soon, a list that is no older than its kind may be, of no generation before the one it knows', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
      const shared = new MemoryCache({ maxBytes: 1_000_000, now: Date.now });
      const far: CachePort = {
        status: 'colo',
        get: (path) => shared.get(path),
        put: (path, entry) => shared.put(path, entry),
      };
      const isolates = [0, 1].map(() => ({
        generation: 1,
        cache: new TieredCache({
          ...LIVES,
          tiers: [new MemoryCache({ maxBytes: 1_000_000, now: Date.now }), far],
          now: Date.now,
          steady: Date.now,
          random: Math.random,
          followMs: FOLLOW_MS,
          onTierError: (_, error) => expect.fail(String(error)),
        }),
      }));
      let live = 1;
      const answer = (): Loaded => ({
        body: JSON.stringify({ generation: live, atMs: Date.now() }),
        generation: live,
        empty: false,
      });
      const asked: Promise<void>[] = [];
      const find = async (from: (typeof isolates)[number], how: string) => {
        const { generation, cache } = from;
        const beganMs = Date.now();
        const lookup = { key: { ...key, generation }, load: () => call(how, answer), waitUntil: () => undefined };
        try {
          const found = await cache.find(lookup);
          const list = JSON.parse(found.entry.body) as { generation: number; atMs: number };
          expect(list.generation).toBeGreaterThanOrEqual(generation);
          expect(Date.now() - list.atMs).toBeLessThanOrEqual(oldest(found));
          seen.add(found.reason === undefined ? found.status : 'stood in');
        } catch (error) {
          if (!(error instanceof HarnessError)) throw error;
          seen.add(error.code);
        }
        expect(Date.now() - beganMs).toBeLessThanOrEqual(PATIENCE_MS);
      };
      for (const each of steps) {
        if (each.kind === 'later') await vi.advanceTimersByTimeAsync(each.ms);
        else if (each.kind === 'publish') live += 1;
        else if (each.kind === 'hear') isolates[each.isolate]!.generation = live;
        else {
          const found = find(isolates[each.isolate]!, each.behaves);
          // Nobody waits for the answer to a request that died.
          asked.push(each.behaves === 'dies' ? Promise.race([found, after(PATIENCE_MS)]) : found);
        }
      }
      await vi.advanceTimersByTimeAsync(2 * PATIENCE_MS);
      await Promise.all(asked);
    }),
    { numRuns: 200 },
  );
  expect([...seen].sort()).toEqual([
    'backend_unavailable',
    'colo',
    'deadline_exceeded',
    'memory',
    'miss',
    'stale',
    'stood in',
  ]);
});

it('keeps nothing of a call that died, though nobody asks for its query again', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const cache = new TieredCache({
    ...LIVES,
    tiers: [],
    now: Date.now,
    steady: Date.now,
    random: Math.random,
    followMs: FOLLOW_MS,
    onTierError: () => undefined,
  });
  /** What the request of such a call leaves behind. */
  const ask = async (queryHash: string) => {
    const left: WeakRef<object>[] = [];
    const load = () => call('dies', () => expect.fail('died'));
    void cache.find({ key: { ...key, queryHash }, load, waitUntil: (work) => void left.push(new WeakRef(work)) });
    await vi.advanceTimersByTimeAsync(DEADLINE_MS * 3);
    expect(left).toHaveLength(1);
    return left[0]!;
  };
  const dead = await ask('one');
  await ask('another');
  vi.useRealTimers();
  await new Promise(setImmediate);
  collect();
  expect(dead.deref()).toBeUndefined();
});
