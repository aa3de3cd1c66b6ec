/** `GET /`: a page to search with and to see what happened. Three static files and one policy that allows nothing else. */
import { Hono } from 'hono';
import type { EdgeContext, Isolate } from '../isolate.ts';
import script from './client.js';
import page from './page.html';
import style from './style.css';

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

const escapeAttribute = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

export const playgroundRoute = ({ settings }: Isolate) => {
  const html = page.replaceAll('{{dashboardUrl}}', escapeAttribute(settings.dashboardUrl ?? ''));
  const asset = (body: string, type: string) => () =>
    new Response(body, {
      headers: {
        'content-type': `${type}; charset=utf-8`,
        'cache-control': 'no-cache',
        'content-security-policy': POLICY,
      },
    });
  return new Hono<EdgeContext>()
    .get('/', asset(html, 'text/html'))
    .get('/playground/style.css', asset(style, 'text/css'))
    .get('/playground/client.js', asset(script, 'text/javascript'));
};
