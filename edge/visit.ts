/** What experiments see of a request: the units it can be diverted by, and what they can target. */

import type { Visit } from '../shared/assignment.ts';
import type { ServingConfig } from '../shared/contract/config.ts';
import { sha256Hex } from '../shared/digest.ts';
import { type Device, Diversion } from '../shared/experiment.ts';
import type { AdsRequest } from './ads-request.ts';

const MOBILE = /Mobi|iPhone|iPod|Windows Phone/i;
/** An iPad that asks for desktop pages cannot be told from a Mac. */
const TABLET = /iPad|Tablet|PlayBook|Kindle/i;

/**
 * Those of Android and Silk leave out the "Mobile" after it. Not by a pattern, whose time would grow with the square of
 * the header's length.
 */
function isAndroidTablet(userAgent: string): boolean {
  const said = userAgent.toLowerCase();
  const system = Math.max(said.lastIndexOf('android'), said.lastIndexOf('silk/'));
  return system >= 0 && !said.includes('mobile', system);
}

/** The kind of device that the headers speak of; `desktop` where they say nothing. */
function deviceOf(headers: Headers): Device {
  const userAgent = headers.get('user-agent') ?? '';
  if (TABLET.test(userAgent) || isAndroidTablet(userAgent)) return 'tablet';
  return headers.get('sec-ch-ua-mobile') === '?1' || MOBILE.test(userAgent) ? 'mobile' : 'desktop';
}

/** For an override, which may name an experiment of any. */
export const ALL_DIVERSIONS: ReadonlySet<Diversion> = new Set(Diversion.options);

/** The diversions that somebody is drawn by, so that ids nobody needs are not made. */
export function diversionsOf({ experiments }: ServingConfig): ReadonlySet<Diversion> {
  const running = experiments.filter(({ status }) => status === 'running');
  return new Set(running.map(({ diversion }) => diversion ?? 'user'));
}

export interface VisitOptions {
  request: AdsRequest;
  headers: Headers;
  unitId: string;
  atMs: number;
  diversions: ReadonlySet<Diversion>;
}

/** Query units are digests: an exposure log of queries must not spell them. A day is one of UTC. */
export async function visitOf({ request, headers, unitId, atMs, diversions }: VisitOptions): Promise<Visit> {
  const { market, locale, normalized } = request;
  const units: Visit['units'] = { user: unitId };
  const query = `${market}\n${normalized}`;
  if (diversions.has('query')) units.query = await digest(query);
  if (diversions.has('query-day'))
    units['query-day'] = await digest(`${query}\n${new Date(atMs).toISOString().slice(0, 10)}`);
  return { units, market, locale, device: deviceOf(headers), atMs };
}

const digest = async (text: string) => (await sha256Hex(text)).slice(0, 32);
