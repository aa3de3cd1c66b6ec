/**
 * What all charts share. They are drawn on the server as SVG text; colours are CSS variables of the page, so that one
 * drawing serves for light and dark. Inline styles are taken out; the page's policy has none.
 */
import * as Plot from '@observablehq/plot';
import { html, raw } from 'hono/html';
import { parseHTML } from 'linkedom';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

export type Markup = ReturnType<typeof html>;

/** Plot's SVG without its style element, named for those who cannot see it; names that came with events stay out of it. */
export function svg(options: Plot.PlotOptions, label: string): string {
  const drawn = Plot.plot({ ...options, document: document as never });
  for (const style of drawn.querySelectorAll('style')) style.remove();
  drawn.setAttribute('role', 'img');
  drawn.setAttribute('aria-label', label);
  return drawn.outerHTML;
}

/** CSS colour of the arm at this place of the report; there are eight, then they repeat. */
export const armColour = (index: number) => `var(--arm-${index % 8})`;

/** A chart at desktop width and at phone width, so that its letters are never scaled; the style sheet shows one. */
export function chart(draw: (width: number) => string, widths: { wide: number; narrow: number }): Markup {
  return html`<div class="chart wide">${raw(draw(widths.wide))}</div><div class="chart narrow">${raw(draw(widths.narrow))}</div>`;
}

/** A per cent with its sign, for the ticks of differences. */
export const signedTick = (at: number) => (at > 0 ? `+${at}` : String(at));
