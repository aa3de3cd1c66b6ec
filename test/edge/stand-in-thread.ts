/** The stand-in as a thread: posts its URL, and ends at any message. */
import { parentPort } from 'node:worker_threads';
import { startStandIn } from './stand-in-server.ts';

const standIn = await startStandIn();
parentPort!.once('message', () => void standIn.close());
parentPort!.postMessage(standIn.url);
