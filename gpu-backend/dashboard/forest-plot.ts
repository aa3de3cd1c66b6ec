/** Effects with their intervals, a row each (forest plot): of the metrics of an arm, or of one metric in several segments. */
import * as Plot from '@observablehq/plot';
import type { Effect, ExperimentReport, MetricReport } from '../../shared/contract/experiments.ts';
import type { SegmentEffect } from '../../shared/contract/report-detail.ts';
import { difference, finding, withInterval } from '../experiments/wording.ts';
import { signedTick, svg } from './drawing.ts';

/** An effect as it is drawn; ends and effect in per cent of control. */
export interface ForestRow {
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
/** Letters of a title that fit beside a short effect there. */
const LETTERS = 29;
const shortened = (title: string) => (title.length <= LETTERS ? title : `${title.slice(0, LETTERS - 2)}…`);

/** Keeps letters apart from the lines behind them. */
const halo = { stroke: 'var(--surface)', strokeWidth: 4 } as const;

const COLOURS = {
  better: 'var(--better)',
  worse: 'var(--worse)',
  changed: 'currentColor',
  open: 'var(--quiet)',
} as const;

/** The effect as a row; none where it has no relative interval. */
function rowOf(
  metric: Pick<MetricReport, 'unit' | 'direction'>,
  { title, effect, claimed = true }: { title: string; effect: Effect | null; claimed?: boolean },
): ForestRow[] {
  if (effect === null || effect.relative === null || effect.relativeInterval === null) return [];
  const [low, high] = effect.relativeInterval;
  const found = claimed ? finding(metric, effect) : 'open';
  return [
    {
      title,
      low: low * 100,
      high: high * 100,
      effect: effect.relative * 100,
      short: difference(metric.unit, effect),
      long: withInterval(metric.unit, effect),
      colour: COLOURS[found],
      significant: found !== 'open',
    },
  ];
}

/** A row for each metric of an arm. */
export function metricRows(report: ExperimentReport, arm: number): ForestRow[] {
  return report.metrics.flatMap((metric) => rowOf(metric, { title: metric.title, effect: metric.arms[arm]!.effect }));
}

/** A row for each segment of one metric and arm; coloured where the corrected p-value says so too. */
export function segmentRows(
  metric: Pick<MetricReport, 'unit' | 'direction'>,
  { segments, confidence }: { segments: readonly SegmentEffect[]; confidence: number },
): ForestRow[] {
  return segments.flatMap(({ dimension, value, effect, adjustedPValue }) =>
    rowOf(metric, {
      title: `${dimension} ${value}`,
      effect,
      claimed: adjustedPValue !== null && adjustedPValue < 1 - confidence,
    }),
  );
}

/**
 * Rows with a line at 0 (there must be one row at least). The scale follows the effects, not the widest interval: one that
 * runs out of the picture ends in an arrow.
 */
export function forestPlot(rows: readonly ForestRow[], { width }: { width: number }): string {
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
        tickFormat: signedTick,
      },
      y: { domain: rows.map(({ title }) => title), axis: null, padding: 0 },
      color: { type: 'identity' },
      marks: [
        Plot.gridX({ ticks, stroke: 'currentColor', strokeOpacity: 0.1 }),
        Plot.ruleX([0], { stroke: 'currentColor', strokeOpacity: 0.6 }),
        Plot.ruleY(rows, {
          x1: (row: ForestRow) => clip(row.low),
          x2: (row: ForestRow) => clip(row.high),
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
          x: (row: ForestRow) => clip(row.effect),
          y,
          r: 5,
          stroke,
          strokeWidth: 2,
          fill: (row: ForestRow) => (row.significant ? row.colour : 'var(--surface)'),
          dy: 10,
        }),
        Plot.text(rows, {
          y,
          text: ({ title }: ForestRow) => (width < NARROW ? shortened(title) : title),
          frameAnchor: 'left',
          textAnchor: 'start',
          fontSize: 12,
          fontWeight: 600,
          fill: 'currentColor',
          ...halo,
          dy: -10,
        }),
        Plot.text(rows, {
          y,
          text: width < NARROW ? 'short' : 'long',
          frameAnchor: 'right',
          textAnchor: 'end',
          fontSize: 12,
          fill: stroke,
          ...halo,
          dy: -10,
          fontVariant: 'tabular-nums',
        }),
      ],
    },
    `Relative differences with their intervals: ${rows.map(({ title, long }) => `${title} ${long}`).join('; ')}.`,
  );
}
