/**
 * Curves of a run as SVG files that stand alone: the loss of each phase, and quality by step. One panel per phase or
 * metric, each with its own scale; colours follow the reader's light or dark setting.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { LossPoint } from './phases/train.ts';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

const WIDTH = 720;
const PANEL = 200;
const TITLE = 24;
const COLOURS = 6;
/** Up to so many points of a panel are marked. */
const MARKED = 120;

const STYLE = `
svg { --page: #fff; --ink: #1a1d21; --quiet: #626973;
  --c0: #1f6fd6; --c1: #b4570b; --c2: #0a7d6c; --c3: #8a3ab9; --c4: #a8326b; --c5: #6d7b0c;
  color: var(--ink); font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --page: #101317; --ink: #e8eaed; --quiet: #9aa3ae;
    --c0: #6cabff; --c1: #f0a35e; --c2: #4fd1bc; --c3: #cf97f0; --c4: #f08bb8; --c5: #c3d04c; }
}`;

/** A quality measure at some step of training. */
export interface QualityPoint {
  /** Counted over the whole run, or over the phase: as the caller likes, the same for all points. */
  readonly step: number;
  /** Panel, for example `P@10`. */
  readonly metric: string;
  /** Line, for example `student` or `teacher`. */
  readonly series: string;
  readonly value: number;
}

interface Panel {
  readonly title: string;
  readonly points: readonly { readonly step: number; readonly value: number; readonly series: string }[];
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function panel({ title, points }: Panel, { index, names }: { index: number; names: readonly string[] }): string {
  const colour = (series: string) => `var(--c${names.indexOf(series) % COLOURS})`;
  const data = points.map((point) => ({ ...point, colour: colour(point.series) }));
  const drawn = Plot.plot({
    document: document as never,
    width: WIDTH,
    height: PANEL,
    marginTop: 10,
    marginLeft: 52,
    marginRight: 20,
    x: { label: null, ticks: 8, tickFormat: (at: number) => at.toLocaleString('en-US') },
    y: { label: null, grid: true, nice: true, ticks: 5 },
    color: { type: 'identity' },
    marks: [
      Plot.line(data, { x: 'step', y: 'value', z: 'series', stroke: 'colour', strokeWidth: 2 }),
      // A line of one point would not be seen.
      ...(points.length <= MARKED ? [Plot.dot(data, { x: 'step', y: 'value', fill: 'colour', r: 2.5 })] : []),
    ],
  });
  // Plot's own sheet sets a white ground.
  for (const style of drawn.querySelectorAll('style')) style.remove();
  drawn.setAttribute('y', String(TITLE));
  const shown = names.filter((name) => points.some(({ series }) => series === name));
  const legend = shown.map((name) => `<tspan fill="${colour(name)}" dx="14">● ${escaped(name)}</tspan>`).join('');
  return [
    `<g transform="translate(0 ${8 + index * (PANEL + TITLE)})" fill="currentColor">`,
    `<text x="12" y="16" font-size="13" font-weight="600">${escaped(title)}</text>`,
    shown.length > 1 ? `<text x="${WIDTH - 20}" y="16" font-size="12" text-anchor="end">${legend}</text>` : '',
    `${drawn.outerHTML}</g>`,
  ].join('');
}

function picture(panels: readonly Panel[], label: string): string {
  const names = [...new Set(panels.flatMap(({ points }) => points.map(({ series }) => series)))];
  const height = panels.length * (PANEL + TITLE) + 16;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(label)}">`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${height}" fill="var(--page)"/>`,
    ...panels.map((each, index) => panel(each, { index, names })),
    '</svg>\n',
  ].join('');
}

/** The loss of each phase by step, phases in the order of the object; phases without points are left out. */
export function lossCurves(losses: Readonly<Record<string, readonly LossPoint[]>>): string {
  const phases = Object.entries(losses).filter(([, points]) => points.length > 0);
  const panels = phases.map(([phase, points]) => ({
    title: `${phase}: loss by step`,
    points: points.map(({ step, loss }) => ({ step, value: loss, series: 'loss' })),
  }));
  const told = phases.map(([phase, points]) => `${phase} from ${points[0]!.loss} to ${points.at(-1)!.loss}`);
  return picture(panels, `Loss by step: ${told.join('; ')}.`);
}

/** Quality by step: a panel a metric, a line a series, in the order in which they first come. */
export function qualityCurve(points: readonly QualityPoint[]): string {
  const metrics = [...Map.groupBy(points, ({ metric }) => metric)];
  const panels = metrics.map(([metric, of]) => ({
    title: `${metric} by step`,
    points: of.toSorted((a, b) => a.step - b.step),
  }));
  return picture(panels, `Quality by step: ${metrics.map(([metric]) => metric).join(', ')}.`);
}
