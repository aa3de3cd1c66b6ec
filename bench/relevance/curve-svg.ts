/** Precision over recall of the cut-offs, as an SVG that stands alone and follows the reader's light or dark setting. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Curve } from './cut-off.ts';

const COLOURS = ['#7a828c', '#b4570b', '#1f6fd6', '#0a7d6c'];
const [WIDTH, HEIGHT] = [640, 400];

export function precisionRecallSvg(curves: readonly Curve[]): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const data = curves.flatMap(({ score, points }, i) =>
    points.map((point) => ({ ...point, score, colour: COLOURS[i]! })),
  );
  const plot = Plot.plot({
    document: document as never,
    width: WIDTH,
    height: HEIGHT,
    marginLeft: 48,
    marginBottom: 40,
    x: { label: 'recall', domain: [0, 1], grid: true },
    y: { label: 'precision', domain: [0, 1], grid: true },
    color: { type: 'identity' },
    marks: [
      Plot.line(data, { x: 'recall', y: 'precision', z: 'score', stroke: 'colour', strokeWidth: 2 }),
      Plot.text(curves, {
        text: ({ score, averagePrecision }: Curve) => `${score}: area ${averagePrecision.toFixed(3)}`,
        x: 0.03,
        y: (_: Curve, i: number) => 0.3 - 0.06 * i,
        fill: (_: Curve, i: number) => COLOURS[i]!,
        textAnchor: 'start',
        fontSize: 12,
      }),
    ],
  });
  // Plot's own sheet sets a white ground.
  for (const style of plot.querySelectorAll('style')) style.remove();
  const style =
    'svg { color: #1a1d21; background: #fff; font-family: system-ui, sans-serif; } @media (prefers-color-scheme: dark) { svg { color: #e8eaed; background: #101317; } }';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="Precision over recall of the cut-offs"><style>${style}</style>${plot.outerHTML}</svg>\n`;
}
