/** The playground in a real browser, over the Worker in workerd. Skipped, with the reason, where there is no browser. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningEdge, startEdge } from '../../scripts/edge-local.ts';
import { launchBrowser, noBrowserReason, PATIENCE_MS } from '../e2e/browser.ts';
import { freePort } from '../setup/free-port.ts';
import { TEST_KEYS } from './stand-in.ts';
import { startStandIn } from './stand-in-server.ts';

describe.skipIf(noBrowserReason() !== undefined)('the playground', () => {
  let standIn: Awaited<ReturnType<typeof startStandIn>>;
  let edge: RunningEdge;
  let browser: Browser;
  const problems: string[] = [];

  beforeAll(async () => {
    standIn = await startStandIn();
    edge = await startEdge({
      port: await freePort(),
      backendUrl: `${standIn.url}/playground`,
      keys: TEST_KEYS,
      // What is looked at is the page, not how long the backend takes on a busy machine.
      vars: { BACKEND_DEADLINE_MS: '20000' },
      dashboardUrl: `http://127.0.0.1:8788/dashboard?a=$'&b="2"`,
    });
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await edge?.stop();
    await standIn?.close();
  });

  async function open(path = '/', options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    const page = await browser.newPage(options);
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(edge.url.replace('127.0.0.1', 'localhost') + path);
    return page;
  }

  it('shows the ads of a search and what happened, and nothing breaks its own policy', async () => {
    const page = await open();
    await page.getByLabel('Search query').fill('Running  SHOES');
    await page.getByLabel('Search query').press('Enter');
    await page.getByRole('link', { name: 'Running shoes 5' }).waitFor();
    expect(await page.locator('#ads li').count()).toBe(4);
    expect(await page.getByRole('status').textContent()).toBe('4 ads for “running shoes”.');
    const facts = await page.locator('#facts').textContent();
    expect(facts).toMatch(/Arm(control|treatment) of student-retrieval/);
    expect(facts).toMatch(/Cachemiss/);
    expect(facts).toMatch(/Generation7/);
    expect(facts).toMatch(/Modeltest-model/);
    expect(await page.locator('#time-legend').textContent()).toContain('Encoding the query: 2.0 ms');
    expect(new URL(page.url()).searchParams.get('q')).toBe('Running  SHOES');
    expect(await page.getByRole('link', { name: 'Experiments' }).getAttribute('href')).toBe(
      `http://127.0.0.1:8788/dashboard?a=$'&b="2"`,
    );
    await page.getByRole('button', { name: 'Search' }).click();
    await page.locator('dd', { hasText: /^memory, / }).waitFor();
    expect(problems).toEqual([]);
  });

  it('meets both arms with a new visitor each search, and keeps to one without', async () => {
    const page = await open('/?q=sofa&market=gb');
    await page.locator('#ads li').first().waitFor();
    expect(await page.getByLabel('Market').inputValue()).toBe('gb');
    const search = async () => {
      const answered = page.waitForResponse(/\/v1\/ads/);
      await page.getByRole('button', { name: 'Search' }).click();
      return ((await (await answered).json()) as { assignments: { arm: string }[] }).assignments[0]!.arm;
    };
    const kept = new Set<string>();
    for (let i = 0; i < 6; i++) kept.add(await search());
    expect(kept.size).toBe(1);
    await page.getByLabel('New visitor each search').check();
    const arms = new Set<string>();
    for (let i = 0; i < 60 && arms.size < 2; i++) arms.add(await search());
    expect(arms.size).toBe(2);
    await page.locator('#arms li').nth(1).waitFor();
  });

  it('shows what another arm gets beside the ads, until the next search', async () => {
    const page = await open('/?q=sofa');
    await page.getByRole('button', { name: 'Compare with another arm' }).click();
    const other = page.getByRole('region', { name: /^Ads in arm/ }).nth(1);
    await other.locator('li').first().waitFor();
    expect((await page.locator('#ads-title, #other-title').allTextContents()).toSorted()).toEqual([
      'Ads in arm control',
      'Ads in arm treatment',
    ]);
    expect(await page.evaluate('document.activeElement.id')).toBe('other-title');
    for (const width of [1_280, 360]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    }
    await page.getByRole('button', { name: 'Search' }).click();
    await other.waitFor({ state: 'hidden' });
    expect(problems).toEqual([]);
  });

  it('says what is wrong with a query', async () => {
    const page = await open();
    await page.getByLabel('Search query').fill('\u200b');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText('q: expected a query, got nothing visible').waitFor();
    expect(await page.locator('#trace').isVisible()).toBe(false);
  });

  it.each(['light', 'dark'] as const)('fits a telephone, in %s', async (colorScheme) => {
    const page = await open('/?q=sofa', { viewport: { width: 360, height: 740 }, colorScheme });
    await page.locator('#ads li').first().waitFor();
    const { scroll, client } = (await page.evaluate(
      '({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth })',
    )) as { scroll: number; client: number };
    expect(scroll).toBeLessThanOrEqual(client);
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(ground).toBe(colorScheme === 'dark' ? 'rgb(20, 23, 26)' : 'rgb(246, 247, 248)');
    if (process.env.SHOTS)
      await page.screenshot({ path: `${process.env.SHOTS}/phone-${colorScheme}.png`, fullPage: true });
  });

  it('can be used from the keyboard: first to the search, then on', async () => {
    const page = await open();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the ads');
    const unlabelled = await page.evaluate(
      "[...document.querySelectorAll('input, select')].filter((field) => field.labels.length === 0).length",
    );
    expect(unlabelled).toBe(0);
    if (process.env.SHOTS) {
      await page.goto(`${edge.url}/?q=sofa`);
      await page.locator('#ads li').first().waitFor();
      await page.screenshot({ path: `${process.env.SHOTS}/desk.png`, fullPage: true });
    }
  });
});
