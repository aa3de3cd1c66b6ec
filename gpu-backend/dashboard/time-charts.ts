/** What goes on over time: the effect so far with its confidence sequence, and traffic by arm. */
import * as Plot from '@observablehq/plot';
import type { TrendPoint } from '../../shared/contract/report-detail.ts';
import type { Timeline } from '../experiments/timeline.ts';
import { armColour, signedTick, svg } from './drawing.ts';

/** How instants of a span are written: days, minutes or seconds, whatever tells its ticks apart. */
function clock(spanMs: number): (at: Date) => string {
  if (spanMs >= 2 * 86_400_000)
    return (at) => `${at.toLocaleString('en-US', { month: 'short', timeZone: 'UTC' })} ${at.getUTCDate()}`;
  return (at) => at.toISOString().slice(11, spanMs > 5 * 60_000 ? 16 : 19);
}

/** Room for half of the last instant. */
const END = 26;

const timeAxis = (spanMs: number, ticks: number) =>
  ({ type: 'utc', label: null, ticks, tickFormat: clock(spanMs) }) as const;

export interface TrendChartOptions {
  /** Name of the metric, for those who cannot see. */
  title: string;
  /** Place of the arm in the report, for its colour. */
  arm: number;
  width: number;
  /** Between two points. */
  stepMs: number;
}

/**
 * The running relative effect, per cent of control, within its sequence (there must be one point at least). The scale is
 * twice where the sequence ends; what is wider, as it is at the beginning, is cut at the edge.
 */
export function trendChart(points: readonly TrendPoint[], { title, arm, width, stepMs }: TrendChartOptions): string {
  const last = points.at(-1)!;
  const effects = points.map(({ relative }) => relative * 100);
  const [low, high] = [
    Math.min(0, 200 * last.interval[0], ...effects),
    Math.max(0, 200 * last.interval[1], ...effects),
  ];
  // Some room on either side of 0, whichever way the effect goes.
  const room = Math.max(1, (high - low) / 10);
  const [bottom, top] = [Math.min(low, -room), Math.max(high, room)];
  const clip = (share: number) => Math.min(top, Math.max(bottom, share * 100));
  const data = points.map(({ atMs, relative, interval: [low, high] }) => ({
    at: new Date(atMs),
    effect: clip(relative),
    low: clip(low),
    high: clip(high),
  }));
  const colour = armColour(arm);
  const marks =
    data.length === 1
      ? [Plot.ruleX(data, { x: 'at', y1: 'low', y2: 'high', stroke: colour, strokeWidth: 2 })]
      : [Plot.areaY(data, { x: 'at', y1: 'low', y2: 'high', fill: colour, fillOpacity: 0.18 })];
  return svg(
    {
      width,
      height: 200,
      marginLeft: 48,
      marginTop: 12,
      marginRight: END,
      marginBottom: 26,
      x: timeAxis(Math.max(2 * stepMs, last.atMs - points[0]!.atMs), Math.min(width / 90, points.length)),
      y: { label: null, grid: true, domain: [bottom, top], ticks: 5, tickFormat: signedTick },
      marks: [
        ...marks,
        Plot.ruleY([0], { stroke: 'currentColor', strokeOpacity: 0.6 }),
        Plot.lineY(data, { x: 'at', y: 'effect', stroke: colour, strokeWidth: 2 }),
        Plot.dot([data.at(-1)!], { x: 'at', y: 'effect', fill: colour, r: 4 }),
      ],
    },
    `${title}: relative difference so far, with an interval that holds at every look.`,
  );
}

const short = new Intl.NumberFormat('en-US', { notation: 'compact' });
const compact = (count: number) => short.format(count);

/** Queries or ads shown by arm over time. */
export function trafficChart(
  { points }: Timeline,
  { measure, arms, width }: { measure: 'queries' | 'shown'; arms: readonly string[]; width: number },
): string {
  const data = points.map((point) => ({
    ...point,
    at: new Date(point.atMs),
    colour: armColour(arms.indexOf(point.arm)),
  }));
  const alone = new Set(points.map(({ atMs }) => atMs)).size === 1;
  return svg(
    {
      width,
      height: 180,
      marginLeft: 48,
      marginTop: 12,
      marginRight: END,
      marginBottom: 26,
      x: timeAxis(points.at(-1)!.atMs - points[0]!.atMs, width / 90),
      y: { label: null, grid: true, zero: true, ticks: 4, tickFormat: compact },
      color: { type: 'identity' },
      marks: [
        Plot.ruleY([0], { stroke: 'currentColor', strokeOpacity: 0.4 }),
        Plot.lineY(data, { x: 'at', y: measure, z: 'arm', stroke: 'colour', strokeWidth: 1.5 }),
        ...(alone ? [Plot.dot(data, { x: 'at', y: measure, fill: 'colour', r: 4 })] : []),
      ],
    },
    `${measure === 'queries' ? 'Queries' : 'Ads shown'} over time, a line an arm.`,
  );
}
