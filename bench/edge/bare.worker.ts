/** The least that a Worker with Hono can do: one route, one text. */
import { Hono } from 'hono';

export default new Hono().get('/', (c) => c.text('Hello from the edge.'));
