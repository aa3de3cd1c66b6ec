/** Who asks and which arms they are in: the unit, the visit as experiments see it, the plan of its arms; and the cookies that keep both. */
import type { Visit } from '../shared/assignment.ts';
import type { Experiment } from '../shared/experiment.ts';
import { readOverride } from '../shared/qa-override.ts';
import type { KeyRing } from '../shared/signature.ts';
import type { AdsRequest } from './ads-request.ts';
import { identify, takenBack, UNIT_COOKIE, type Unit } from './identity.ts';
import type { Isolate } from './isolate.ts';
import type { AssignedPlan, Serving } from './serving.ts';
import { readSticky, STICKY_COOKIE, type StickyRecords, stickyCookie } from './sticky.ts';
import { ALL_DIVERSIONS, visitOf } from './visit.ts';

export interface Visitor {
  unit: Unit;
  visit: Visit;
  atMs: number;
  assigned: AssignedPlan;
  /** The arms that the visitor's cookie had; `undefined` where none are to be kept. */
  keptArms: StickyRecords | undefined;
}

const NO_RECORDS: StickyRecords = new Map();
const OUR_COOKIES = [UNIT_COOKIE, STICKY_COOKIE];

/** Throws what is wrong with an override. */
export async function assignVisitor(
  { settings, clock, visitors }: Pick<Isolate, 'settings' | 'clock' | 'visitors'>,
  { serving, request, headers }: { serving: Serving; request: AdsRequest; headers: Headers },
): Promise<Visitor> {
  const { keys, consent: policy } = settings;
  const { qa } = request;
  const unit = await identify(headers, { keys, newId: clock.newId, policy, known: visitors });
  const { unitId } = unit;
  const atMs = clock.now();
  const diversions = qa === undefined ? serving.diversions : ALL_DIVERSIONS;
  const visit = await visitOf({ request, headers, unitId, atMs, diversions });
  const keepsArms = serving.isSticky && unit.consent;
  const sticky = keepsArms ? await readSticky(headers, keys, unitId) : NO_RECORDS;
  const forced = qa === undefined ? undefined : { overrides: await readOverride(keys, qa, atMs) };
  const assigned = await serving.planOf(visit, { sticky, ...forced });
  return { unit, visit, atMs, assigned, keptArms: keepsArms && forced === undefined ? sticky : undefined };
}

export interface CookieOptions {
  keys: KeyRing;
  experiments: readonly Experiment[];
  /** Of the request. */
  headers: Headers;
}

/** The answer's `Set-Cookie`s: what a visitor is to keep, or, without consent, to forget. */
export async function cookiesOf(
  { unit, keptArms, assigned: { assigned } }: Visitor,
  { keys, experiments, headers }: CookieOptions,
): Promise<string[]> {
  if (!unit.consent) return takenBack(headers.get('cookie'), OUR_COOKIES);
  const { unitId, setCookie } = unit;
  const arms = keptArms && (await stickyCookie({ keys, unitId, before: keptArms, assigned, experiments }));
  return [setCookie, arms].filter((cookie) => cookie !== undefined);
}
