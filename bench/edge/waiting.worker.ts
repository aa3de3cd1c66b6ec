/**
 * The least that a Worker can do whose answer waits for a queue: it answers as bare.worker.ts does, once the queue has
 * taken a short event, in calls that requests share and with a limit on the wait. What a hit takes beyond this is its
 * own.
 */
import { type Context, Hono } from 'hono';
import { within } from '../../edge/deadline.ts';
import type { EventQueue } from '../../edge/env.ts';
import { EventGroups, messageOf } from '../../edge/event-groups.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

interface Bindings {
  EVENTS: EventQueue;
}

const DEADLINE_MS = 10_000;
const EVENT = { type: 'impression', id: 'an event' } as HarnessEvent;
let groups: EventGroups | undefined;

function groupsOver(queue: EventQueue): EventGroups {
  return new EventGroups({
    deliver: async ({ tickets }) => {
      await queue.send(messageOf(tickets), { contentType: 'text' });
      return () => true;
    },
    now: Date.now,
    gatherMs: 5,
  });
}

export default new Hono<{ Bindings: Bindings }>().get('/', async (c: Context<{ Bindings: Bindings }>) => {
  groups ??= groupsOver(c.env.EVENTS);
  const { safe } = groups.join(EVENT, (work) => c.executionCtx.waitUntil(work));
  await within(safe, DEADLINE_MS);
  return c.text('Hello from the edge.');
});
