/** The dashboard as a reader has it: in a real browser, light, dark and on a phone. */
import { serve } from '@hono/node-server';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerDashboard } from '../../../gpu-backend/dashboard/dashboard.ts';
import { LOOKS, launchBrowser, newPage, noBrowserReason } from '../../e2e/browser.ts';
import {
  experimentOf,
  impressionOf,
  storeEvents,
  storeExperiment,
  trafficOf,
} from '../../fixtures/experiment-traffic.ts';
import { openEmbeddedDatabase, type TestDatabase } from '../../setup/databases.ts';
import { freePort } from '../../setup/free-port.ts';

const ATTACK = `"><script>window.pwned=1</script><img src=x onerror=window.pwned=1>`;

describe.skipIf(noBrowserReason() !== undefined)('the dashboard in a browser', () => {
  let database: TestDatabase;
  let browser: Browser;
  let server: ReturnType<typeof serve>;
  let url: string;

  beforeAll(async () => {
    database = await openEmbeddedDatabase();
    await storeExperiment(database.db, { ...experimentOf('test'), description: ATTACK });
    await storeExperiment(
      database.db,
      experimentOf('long', { control: 1, ['an-arm-with-a-long-name-'.repeat(2).slice(0, 40)]: 1 }),
    );
    await storeEvents(database.db, [
      ...trafficOf({ seed: 7, units: 200, experiment: 'test' }),
      impressionOf({ id: 'attack', unit: 'a', arm: ATTACK }),
      ...trafficOf({ seed: 8, units: 60, experiment: 'long' }),
    ]);
    const port = await freePort();
    url = `http://127.0.0.1:${port}/dashboard`;
    server = serve({
      fetch: (request) => answerDashboard(database.db, Object.fromEntries(new URL(request.url).searchParams)),
      hostname: '127.0.0.1',
      port,
    });
    await answerDashboard(database.db, { experiment: 'test' }); // the first page loads what draws
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await new Promise((resolve) => server.close(resolve));
    await database.close();
  });

  it.each(Object.entries(LOOKS))('is whole on %s: nothing refused, nothing cut off', async (_look, options) => {
    for (const key of ['test', 'long']) {
      const { page, context, faults } = await newPage(browser, options);
      await page.goto(`${url}?experiment=${key}`);
      expect(faults).toEqual([]);
      expect(await page.evaluate('window.pwned')).toBeUndefined();
      // Every visible element lies within the window, apart from what scrolls inside its own box.
      const outside = await page.evaluate(`[...document.querySelectorAll('body *')]
        .filter((element) => element.closest('.scroll') === null && element.checkVisibility())
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => element.outerHTML.slice(0, 80))`);
      expect(outside).toEqual([]);
      // Three charts or more, and their letters are not scaled down.
      const scales = await page.evaluate<number[]>(`[...document.querySelectorAll('.chart svg')]
        .filter((drawing) => drawing.checkVisibility())
        .map((drawing) => drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width)`);
      expect(scales.length).toBeGreaterThanOrEqual(3);
      for (const scale of scales) expect(scale).toBeGreaterThan(0.9);
      // The table of effects is read without scrolling, where arms have names of ordinary length.
      const hidden = await page.evaluate(`[...document.querySelectorAll('.metrics')]
        .filter((table) => table.scrollWidth > table.closest('.scroll').clientWidth).length`);
      if (key === 'test') expect(hidden).toBe(0);
      await context.close();
    }
  });

  it('keeps its colours apart from the ground, light and dark', async () => {
    const brightness: Record<string, { ground: number; ink: number; dot: number }> = {};
    for (const look of ['light', 'dark']) {
      const { page, context } = await newPage(browser, LOOKS[look]);
      await page.goto(url);
      brightness[look] = await page.evaluate(`(() => {
        const level = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part) / 765, 0);
        const style = (selector) => getComputedStyle([...document.querySelectorAll(selector)].find((e) => e.checkVisibility()));
        return {
          ground: level(style('.effects').backgroundColor),
          ink: level(style('.effects svg').fill),
          dot: level(style('.effects svg circle').stroke),
        };
      })()`);
      await context.close();
    }
    for (const { ground, ink, dot } of Object.values(brightness)) {
      expect(Math.abs(ground - ink)).toBeGreaterThan(0.5);
      expect(Math.abs(ground - dot)).toBeGreaterThan(0.25);
    }
    expect(brightness.light!.ground).toBeGreaterThan(0.9);
    expect(brightness.dark!.ground).toBeLessThan(0.2);
  });

  it('unfolds the SQL of a number that is asked for', async () => {
    const { page, context, faults } = await newPage(browser, LOOKS.phone);
    await page.goto(`${url}?experiment=test`);
    expect(await page.locator('#sql-trend').isVisible()).toBe(false);
    await page.locator('.trends a.sql').first().click();
    await page.locator('#sql-trend').waitFor({ state: 'visible' });
    expect(await page.locator('#sql-trend').textContent()).toContain('select arm, step_ms');
    expect(faults).toEqual([]);
    await context.close();
  });

  it('explains its words to who unfolds them, on a phone too', async () => {
    const { page, context, faults } = await newPage(browser, LOOKS.phone);
    await page.goto(`${url}?experiment=test`);
    const meaning = page.locator('dt:text-is("Guardrail") + dd');
    expect(await meaning.isVisible()).toBe(false);
    await page.getByText('What the words mean').click();
    expect(await meaning.textContent()).toContain('must not lose more than its margin');
    // The other estimates are read without scrolling, too.
    await page.getByText('Adjusted, Bayesian, read together').first().click();
    const label = `getComputedStyle(document.querySelector('details .ways td'), '::before').content`;
    expect(await page.evaluate(label)).toBe('"adjusted "');
    const wide = `[...document.querySelectorAll('.scroll:has(.ways)')]
      .filter((each) => each.scrollWidth > each.clientWidth).length`;
    expect(await page.evaluate(wide)).toBe(0);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    expect(faults).toEqual([]);
    await context.close();
  });

  it('leads from one experiment to another, and to a fresh look', async () => {
    const { page, context, faults } = await newPage(browser);
    await page.goto(url);
    expect(await page.locator('h1').textContent()).toBe('long');
    await page.getByRole('link', { name: 'test' }).click();
    await page.locator('h1:text-is("test")').waitFor();
    expect(await page.locator('[aria-current=page]').textContent()).toBe('test');
    await page.getByRole('link', { name: 'Refresh', exact: true }).click();
    expect(page.url()).toBe(`${url}?experiment=test`);
    expect(faults).toEqual([]);
    await context.close();
  });
});
