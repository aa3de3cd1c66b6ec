/** Events -> rows of the tables that hold them. */
import type { ClickEvent, ConversionEvent, HarnessEvent, ImpressionEvent } from '../../shared/contract/events.ts';
import type { clicks, conversions, exposures, impressions } from '../db/schema.ts';

export function impressionRow(event: ImpressionEvent): typeof impressions.$inferInsert {
  return {
    id: event.id,
    at: new Date(event.atMs),
    unitId: event.unitId,
    bot: event.bot,
    consent: event.consent ?? null,
    qa: event.qa ?? false,
    device: event.device ?? null,
    colo: event.colo ?? null,
    market: event.market,
    locale: event.locale,
    query: event.query,
    configVersion: event.configVersion,
    planFingerprint: event.planFingerprint,
    generation: event.generation,
    model: event.model,
    cacheStatus: event.cache.status,
    cacheAgeMs: event.cache.ageMs,
    rung: event.rung,
    reason: event.reason ?? null,
    slotCount: event.slots.length,
    totalMs: event.timings.totalMs,
    backendMs: event.timings.backendMs,
    encodeMs: event.timings.encodeMs,
    searchMs: event.timings.searchMs,
    slots: event.slots,
  };
}

/**
 * One row per assignment; an experiment named twice counts once. What quality assurance looked at is no exposure, nor
 * is what was shown while the arm before wears off.
 */
export function exposureRows(event: ImpressionEvent): (typeof exposures.$inferInsert)[] {
  if (event.qa) return [];
  const counted = event.assignments.filter(({ washout }) => !washout);
  const byExperiment = new Map(counted.map((assignment) => [assignment.experiment, assignment]));
  return [...byExperiment.values()].map(({ experiment, layer, arm, unitId, triggered }) => ({
    impressionId: event.id,
    experiment,
    layer,
    arm,
    unitId: unitId ?? event.unitId,
    triggered: triggered ?? null,
    at: new Date(event.atMs),
  }));
}

export function clickRow(event: ClickEvent): typeof clicks.$inferInsert {
  return {
    id: event.id,
    impressionId: event.impressionId,
    adId: event.adId,
    position: event.position,
    chargeMicros: event.chargeMicros,
    bot: event.bot,
    at: new Date(event.atMs),
  };
}

export function conversionRow(event: ConversionEvent): typeof conversions.$inferInsert {
  return { id: event.id, clickId: event.clickId, valueMicros: event.valueMicros, at: new Date(event.atMs) };
}

/** The events of one type, in order. */
export function ofType<T extends HarnessEvent['type']>(
  events: readonly HarnessEvent[],
  type: T,
): Extract<HarnessEvent, { type: T }>[] {
  return events.filter((event): event is Extract<HarnessEvent, { type: T }> => event.type === type);
}
