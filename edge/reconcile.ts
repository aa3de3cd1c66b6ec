/**
 * Issued ids against stored rows: every minute by the Worker's schedule, and on demand by `POST /v1/reconcile`, which is
 * signed like the backend's routes. A repeated call changes nothing, so that its nonce need not be remembered.
 */
import { Hono } from 'hono';
import { verifyRequest } from '../shared/signature.ts';
import type { EdgeContext, Isolate } from './isolate.ts';
import { pathStart } from './request-url.ts';

export const reconcileRoute = ({ settings, clock, outboxes }: Pick<Isolate, 'settings' | 'clock' | 'outboxes'>) =>
  new Hono<EdgeContext>().post('/v1/reconcile', async (c) => {
    const { url } = c.req;
    await verifyRequest(
      settings.keys,
      { method: 'POST', path: url.slice(pathStart(url)), body: '' },
      c.req.raw.headers,
      clock.now(),
    );
    c.header('cache-control', 'no-store');
    return c.json(await outboxes.reconcile());
  });

/** The scheduled run; what is missing is named in the log by the outbox that knows of it. */
export async function reconcileOnSchedule({ outboxes, onError }: Pick<Isolate, 'outboxes' | 'onError'>): Promise<void> {
  try {
    await outboxes.reconcile();
  } catch (error) {
    onError('issued and stored events could not be compared', error);
  }
}
