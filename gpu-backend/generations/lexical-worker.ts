/**
 * The thread that makes a generation's lexical index from its ads, where the one in its folder is of another version:
 * making it holds the thread for a second per hundred thousand ads.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { LexicalSegmentBuilder } from '../retrieval/lexical-segment.ts';
import { indexedAd } from '../retrieval/lexical-terms.ts';
import { eachRow } from './read.ts';

const lexical = new LexicalSegmentBuilder();
await eachRow(workerData as string, ({ ad }) => lexical.add(indexedAd(ad)));
const image = lexical.image();
parentPort!.postMessage(image, [image.buffer]);
