/** `GET /`: a page to search with and to see what happened. Three static files and one policy that allows nothing else. */
import { Hono } from 'hono';
import type { EdgeContext, Isolate } from '../isolate.ts';
import script from './page.client.js';
import style from './page.css';
import page from './page.html';

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const escapeHtml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const answer = (body: string, type: string) =>
  new Response(body, {
    headers: {
      'content-type': `${type}; charset=utf-8`,
      'cache-control': 'no-cache',
      'content-security-policy': POLICY,
    },
  });

export const playgroundRoute = ({ settings, config }: Pick<Isolate, 'settings' | 'config'>) => {
  const markets = () =>
    config.serving.config.markets.map((market) => `<option>${escapeHtml(market)}</option>`).join('');
  // By functions: in a text that stands for another, a dollar sign says what to put there.
  const render = () =>
    page
      .replaceAll('{{dashboardUrl}}', () => escapeHtml(settings.dashboardUrl ?? ''))
      .replaceAll('{{markets}}', markets);
  return new Hono<EdgeContext>()
    .get('/', async (c) => {
      await config.keepUp((work) => c.executionCtx.waitUntil(work));
      return answer(render(), 'text/html');
    })
    .get('/playground/page.css', () => answer(style, 'text/css'))
    .get('/playground/page.client.js', () => answer(script, 'text/javascript'));
};
