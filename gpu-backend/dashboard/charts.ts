/**
 * Charts as SVG text, drawn on the server: effects with their intervals (forest plot), and traffic by arm. Colours are CSS
 * variables of the page, so that one drawing does for light and dark. Inline styles are taken out; the page's policy has
 * none.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { ExperimentReport } from '../../shared/contract/experiments.ts';
import type { Timeline } from '../experiments/timeline.ts';
import { difference, finding, interval } from '../experiments/wording.ts';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

/** Plot's SVG without its style element, named for those who cannot see it; names that came with events stay out of it. */
function svg(options: Plot.PlotOptions, label: string): string {
  const drawn = Plot.plot({ ...options, document: document as never });
  for (const style of drawn.querySelectorAll('style')) style.remove();
  drawn.setAttribute('role', 'img');
  drawn.setAttribute('aria-label', label);
  return drawn.outerHTML;
}

/** CSS colour of the arm at this place of the report; there are eight, then they repeat. */
export const armColour = (index: number) => `var(--arm-${index % 8})`;

interface Row {
  title: string;
  low: number;
  high: number;
  effect: number;
  /** The effect in words, without and with its interval. */
  short: string;
  long: string;
  colour: string;
  significant: boolean;
}

/** Width below which titles and intervals do not fit side by side. */
const NARROW = 480;

const COLOURS = {
  better: 'var(--better)',
  worse: 'var(--worse)',
  changed: 'currentColor',
  open: 'var(--quiet)',
} as const;

function rowsOf(report: ExperimentReport, arm: number): Row[] {
  return report.metrics.flatMap((metric) => {
    const { effect } = metric.arms[arm]!;
    if (effect === null || effect.relative === null || effect.relativeInterval === null) return [];
    const [low, high] = effect.relativeInterval;
    const found = finding(metric, effect);
    return {
      title: metric.title,
      low: low * 100,
      high: high * 100,
      effect: effect.relative * 100,
      short: difference(metric.unit, effect),
      long: `${difference(metric.unit, effect)} (${interval(metric.unit, effect)})`,
      colour: COLOURS[found],
      significant: found !== 'open',
    };
  });
}

/**
 * Relative effects of an arm against control with their intervals and a line at 0 (at least one metric must have one). The
 * scale follows the effects, not the widest interval: one that runs out of the picture ends in an arrow.
 */
export function forestPlot(report: ExperimentReport, { arm, width }: { arm: number; width: number }): string {
  const rows = rowsOf(report, arm);
  const reach = Math.max(1, 2.5 * Math.max(...rows.map(({ effect }) => Math.abs(effect))));
  const [low, high] = [
    Math.max(-reach, Math.min(0, ...rows.map((row) => row.low))),
    Math.min(reach, Math.max(0, ...rows.map((row) => row.high))),
  ];
  const clip = (at: number) => Math.min(high, Math.max(low, at));
  const beyond = [
    ...rows.filter((row) => row.low < low).map((row) => ({ ...row, at: low, arrow: '◂' })),
    ...rows.filter((row) => row.high > high).map((row) => ({ ...row, at: high, arrow: '▸' })),
  ];
  const ticks = width / 90;
  const y = 'title';
  const stroke = 'colour';
  return svg(
    {
      width,
      height: rows.length * 46 + 46,
      marginLeft: 20,
      marginRight: 20,
      marginTop: 4,
      marginBottom: 38,
      x: {
        domain: [low, high],
        label: 'Difference to control, %',
        labelAnchor: 'center',
        labelArrow: 'none',
        nice: true,
        ticks,
        tickFormat: (at: number) => (at > 0 ? `+${at}` : String(at)),
      },
      y: { domain: rows.map(({ title }) => title), axis: null, padding: 0 },
      color: { type: 'identity' },
      marks: [
        Plot.gridX({ ticks, stroke: 'currentColor', strokeOpacity: 0.1 }),
        Plot.ruleX([0], { stroke: 'currentColor', strokeOpacity: 0.6 }),
        Plot.ruleY(rows, {
          x1: (row: Row) => clip(row.low),
          x2: (row: Row) => clip(row.high),
          y,
          stroke,
          strokeWidth: 2,
          dy: 10,
        }),
        Plot.tickX(
          rows.flatMap((row) =>
            [row.low, row.high].filter((at) => at >= low && at <= high).map((at) => ({ ...row, at })),
          ),
          { x: 'at', y, stroke, strokeWidth: 2, dy: 10, insetTop: 18, insetBottom: 18 },
        ),
        Plot.text(beyond, { x: 'at', y, text: 'arrow', fill: stroke, fontSize: 16, dy: 10 }),
        Plot.dot(rows, {
          x: (row: Row) => clip(row.effect),
          y,
          r: 5,
          stroke,
          strokeWidth: 2,
          fill: (row: Row) => (row.significant ? row.colour : 'var(--surface)'),
          dy: 10,
        }),
        Plot.text(rows, {
          y,
          text: 'title',
          frameAnchor: 'left',
          textAnchor: 'start',
          fontSize: 12,
          fontWeight: 600,
          dy: -10,
        }),
        Plot.text(rows, {
          y,
          text: width < NARROW ? 'short' : 'long',
          frameAnchor: 'right',
          textAnchor: 'end',
          fontSize: 12,
          fill: stroke,
          dy: -10,
          fontVariant: 'tabular-nums',
        }),
      ],
    },
    `Relative differences with their intervals: ${rows.map(({ title, long }) => `${title} ${long}`).join('; ')}.`,
  );
}

/** How instants of a span are written: days, minutes or seconds, whatever tells its ticks apart. */
function clock(spanMs: number): (at: Date) => string {
  if (spanMs > 2 * 86_400_000)
    return (at) => `${at.toLocaleString('en-US', { month: 'short', timeZone: 'UTC' })} ${at.getUTCDate()}`;
  return (at) => at.toISOString().slice(11, spanMs > 5 * 60_000 ? 16 : 19);
}

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
      marginRight: 16,
      marginBottom: 26,
      x: { type: 'utc', label: null, ticks: width / 90, tickFormat: clock(points.at(-1)!.atMs - points[0]!.atMs) },
      y: { label: null, grid: true, zero: true, ticks: 4, tickFormat: '~s' },
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
