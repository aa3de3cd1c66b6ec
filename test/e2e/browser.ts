/** A real browser for the tests of pages: Chromium or Chrome as the machine has it, driven by playwright-core. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'];
const ELSEWHERE = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
const FLAGS = [
  '--headless',
  '--no-sandbox', // Chromium refuses to sandbox under root, as in many CI containers
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Until an element must be there, on a machine however busy. */
export const PATIENCE_MS = 100_000;

function runs(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of the browser: BROWSER_PATH where set, else what PATH has; `undefined` where there is none. */
export function findBrowser(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env.BROWSER_PATH) return env.BROWSER_PATH;
  const folders = (env.PATH ?? '').split(delimiter);
  return [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...ELSEWHERE].find(runs);
}

/** Why the tests that need a browser are skipped; `undefined` where they run. Printed once a test file. */
export function noBrowserReason(): string | undefined {
  if (findBrowser() !== undefined) return undefined;
  const reason = `no browser on this machine (looked for ${NAMES.join(', ')}): install Chromium or set BROWSER_PATH`;
  console.warn(`Skipped: ${reason}.`);
  return reason;
}

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findBrowser()!,
    args: FLAGS,
    ignoreDefaultArgs: ['--enable-automation'],
    timeout: PATIENCE_MS,
  });
}

export interface Visit {
  page: Page;
  context: BrowserContext;
  /** Errors on the console, uncaught exceptions, and requests that failed or were refused by the page's policy. */
  faults: string[];
}

/** A page of a fresh context that remembers all that goes wrong on it. */
export async function newPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('requestfailed', (request) => faults.push(`${request.url()}: ${request.failure()?.errorText}`));
  return { page, context, faults };
}

/** Reader settings that every page is looked at with. */
export const LOOKS: Record<string, BrowserContextOptions> = {
  light: { viewport: { width: 1_280, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1_280, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true },
};
