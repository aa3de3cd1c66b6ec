/** Curves: well-formed SVG that stands alone, a panel a phase or metric, a line a series, in light and dark. */
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { lossCurves, qualityCurve } from '../../training/curves.ts';

const parsed = (svg: string) => parseHTML(`<html><body>${svg}</body></html>`).document;
const titles = (svg: string) =>
  [...parsed(svg).querySelectorAll('g > text[font-weight="600"]')].map((text) => text.textContent);
const lines = (svg: string) =>
  [...parsed(svg).querySelectorAll('g[aria-label="line"]')].map((group) =>
    [...group.querySelectorAll('path')].map((path) => path.getAttribute('d')!.split(/[ML]/).length - 1),
  );

describe('loss curves', () => {
  const align = [1, 2, 3].map((step) => ({ step: step * 100, loss: 1 / step }));
  const refine = [1, 2].map((step) => ({ step: step * 50, loss: 3 - step }));

  it('draws a panel a phase, each point on its line', () => {
    const svg = lossCurves({ align, empty: [], refine });
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="720" height="\d+"/);
    expect(titles(svg)).toEqual(['align: loss by step', 'refine: loss by step']);
    expect(lines(svg)).toEqual([[3], [2]]);
    expect(svg).toContain('aria-label="Loss by step: align from 1 to 0.3333333333333333; refine from 2 to 1."');
    const ticks = parsed(svg).querySelector('g[aria-label="x-axis tick label"]')!.textContent;
    expect(ticks).toMatch(/^100\D?.*200.*300$/);
    expect(lossCurves({ align, refine })).toBe(svg);
  });

  it('falls where the loss falls', () => {
    const [path] = [...parsed(lossCurves({ align })).querySelectorAll('g[aria-label="line"] path')];
    const heights = [...path!.getAttribute('d')!.matchAll(/,([\d.]+)/g)].map(([, y]) => Number(y));
    // Down the picture, y grows.
    expect(heights).toEqual(heights.toSorted((a, b) => a - b));
    expect(heights[2]).toBeGreaterThan(heights[0]!);
  });

  it('has one colour for light and another for dark', () => {
    const style = parsed(lossCurves({ align })).querySelector('style')!.textContent!;
    const [light, dark] = style.split('@media (prefers-color-scheme: dark)');
    for (const name of ['page', 'ink', 'c0']) {
      const of = (sheet: string) => new RegExp(`--${name}: (#\\w+)`).exec(sheet)![1];
      expect(of(light!), name).not.toBe(of(dark!));
    }
  });
});

describe('quality curves', () => {
  it('draws a panel a metric and a line a series, named, whatever the order of the points', () => {
    const points = ['P@10', 'nDCG@10'].flatMap((metric) =>
      ['student', 'teacher <&> "real"'].flatMap((series) =>
        [300, 100, 200].map((step) => ({ step, metric, series, value: step / 1000 })),
      ),
    );
    const svg = qualityCurve(points);
    expect(titles(svg)).toEqual(['P@10 by step', 'nDCG@10 by step']);
    expect(lines(svg)).toEqual([
      [3, 3],
      [3, 3],
    ]);
    const legend = [...parsed(svg).querySelectorAll('tspan')].map((name) => [
      name.textContent,
      name.getAttribute('fill'),
    ]);
    expect(legend.slice(0, 2)).toEqual([
      ['● student', 'var(--c0)'],
      ['● teacher <&> "real"', 'var(--c1)'],
    ]);
    expect(svg).not.toContain('<&>');
  });
});
