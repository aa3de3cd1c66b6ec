/**
 * The arms that a visitor was shown in sticky experiments, in a signed cookie of their own. It is bound to the unit, so
 * it cannot be handed on, and holds only experiments of the configuration, so it cannot grow.
 */
import * as z from 'zod';
import type { Assigned, StickyRecord } from '../shared/assignment.ts';
import type { Experiment } from '../shared/experiment.ts';
import { HarnessError } from '../shared/problem.ts';
import { type KeyRing, signToken, verifyToken } from '../shared/signature.ts';
import { kept, readCookie } from './identity.ts';

export const STICKY_COOKIE = '__Host-harness-arms';
const PURPOSE = 'arms';
/** Keeps the cookie below the 4,096 bytes that browsers take. */
const MAX_RECORDS = 16;

/** Short names, because it travels with every request. */
const Payload = z.lazy(() =>
  z.strictObject({
    /** The unit. */
    u: z.string(),
    /** Arm and version by experiment. */
    a: z.record(z.string(), z.tuple([z.string(), z.int()])),
  }),
);

export type StickyRecords = ReadonlyMap<string, StickyRecord>;

/** What the cookie says of this unit; empty for another's, a forged, an unknown or a missing one. */
export async function readSticky(headers: Headers, keys: KeyRing, unitId: string): Promise<StickyRecords> {
  const cookie = readCookie(headers.get('cookie'), STICKY_COOKIE);
  if (cookie === undefined) return new Map();
  try {
    const { data } = Payload.safeParse(JSON.parse(await verifyToken(keys, PURPOSE, cookie)));
    // Cookies live longer than versions of this program: another one may have written this.
    if (data?.u !== unitId) return new Map();
    return new Map(Object.entries(data.a).map(([key, [arm, version]]) => [key, { arm, version }]));
  } catch (error) {
    if (error instanceof HarnessError && error.code === 'invalid_token') return new Map();
    throw error;
  }
}

export interface StickyCookieOptions {
  keys: KeyRing;
  unitId: string;
  before: StickyRecords;
  assigned: readonly Assigned[];
  experiments: readonly Experiment[];
}

/** The `Set-Cookie` that remembers this request's arms too; `undefined` when there is nothing new to remember. */
export async function stickyCookie(options: StickyCookieOptions): Promise<string | undefined> {
  const { keys, unitId, before, assigned, experiments } = options;
  if (!assigned.some(({ experiment }) => experiment.sticky)) return undefined;
  const known = new Map(experiments.filter(({ sticky }) => sticky).map(({ key, status }) => [key, status]));
  const records = new Map([...before].filter(([key]) => known.has(key)));
  let news = false;
  for (const { experiment, arm } of assigned) {
    const { key, sticky, version = 1 } = experiment;
    // A visitor who was assigned under an older version keeps that version, which is what a block looks at.
    if (!sticky || before.get(key)?.arm === arm.key) continue;
    if (!records.has(key) && records.size >= MAX_RECORDS) {
      // Over the years a visitor meets more experiments than there is room for.
      const over = [...records.keys()].find((other) => known.get(other) !== 'running');
      if (over === undefined) continue;
      records.delete(over);
    }
    records.set(key, { arm: arm.key, version });
    news = true;
  }
  if (!news) return undefined;
  const a = Object.fromEntries([...records].map(([key, { arm, version }]) => [key, [arm, version]]));
  const token = await signToken(keys, PURPOSE, JSON.stringify({ u: unitId, a }));
  return kept(STICKY_COOKIE, token);
}
