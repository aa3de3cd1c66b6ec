/**
 * The queues' other end: batches go to the backend, and a message is acknowledged only once its events are stored. A dead
 * letter that still cannot be stored moves to the outbox, which has no last attempt, so that both queues always drain.
 */
import type { EventBatchResult, HarnessEvent } from '../shared/contract/events.ts';
import { splitBatches } from './batches.ts';
import type { EventCounts } from './events.ts';

/** As much of a MessageBatch as is used here. */
export interface EventMessages {
  readonly queue: string;
  readonly messages: readonly EventMessage[];
}

interface EventMessage {
  /** JSON of a list of events (events.ts); older messages were one event each, and some may still wait. */
  readonly body: string | HarnessEvent;
  /** 1 on the first delivery. */
  readonly attempts: number;
  ack(): void;
  retry(options: { delaySeconds: number }): void;
}

export interface ConsumerOptions {
  store: (events: readonly HarnessEvent[]) => Promise<EventBatchResult>;
  /** Keeps events until they can be stored; rejects when it could not. */
  park: (events: readonly HarnessEvent[]) => Promise<void>;
  counts: EventCounts;
  onError: (message: string, error: unknown) => void;
}

/** Longest pause between two attempts: short enough that the backend's return is noticed soon. */
const MAX_DELAY_SECONDS = 15;
/** Before a dead letter is tried again that neither backend nor outbox took. */
const DEAD_LETTER_DELAY_SECONDS = 60;

/** A message, read. */
interface Letter {
  message: EventMessage;
  events: readonly HarnessEvent[];
}

/** Never throws: what was not stored is retried, after a pause that grows with the attempts. */
export async function consume(batch: EventMessages, options: ConsumerOptions): Promise<void> {
  const dead = batch.queue.endsWith('-dead');
  const read = batch.messages.flatMap((message) => readLetter(message, options) ?? []);
  for (const letters of splitBatches(read, ({ events }) => events)) {
    const events = letters.flatMap((letter) => letter.events);
    try {
      settle(events, await options.store(events), options);
      for (const { message } of letters) message.ack();
    } catch (error) {
      if (dead) await parkOrRetry(letters, options);
      else
        for (const { message } of letters)
          message.retry({ delaySeconds: Math.min(message.attempts, MAX_DELAY_SECONDS) });
      if (letters.some(({ message }) => message.attempts === 1)) {
        options.onError(`${events.length} events of ${batch.queue} wait for the backend`, error);
      }
    }
  }
}

/**
 * `undefined` for a message that is not a list of events: it is logged and dropped, so that it holds up none of the
 * others.
 */
function readLetter(message: EventMessage, { counts, onError }: ConsumerOptions): Letter | undefined {
  const { body } = message;
  try {
    const events: unknown = typeof body === 'string' ? JSON.parse(body) : [body];
    if (!Array.isArray(events)) throw new TypeError(`expected a list of events, got ${typeof events}`);
    return { message, events };
  } catch (error) {
    message.ack();
    counts.rejected += 1;
    onError('a message of the queue could not be read', error);
    return undefined;
  }
}

/** What the backend refuses now it will always refuse: logged once, then dropped. */
function settle(
  events: readonly HarnessEvent[],
  { rejected }: EventBatchResult,
  { counts, onError }: ConsumerOptions,
): void {
  for (const { index, reason } of rejected) onError(`event ${events[index]?.id} was refused`, reason);
  counts.rejected += rejected.length;
  counts.delivered += events.length - rejected.length;
}

async function parkOrRetry(letters: readonly Letter[], { park, onError }: ConsumerOptions): Promise<void> {
  try {
    await park(letters.flatMap(({ events }) => events));
    for (const { message } of letters) message.ack();
  } catch (error) {
    for (const { message } of letters) message.retry({ delaySeconds: DEAD_LETTER_DELAY_SECONDS });
    onError(`${letters.length} dead letters could not move to the outbox`, error);
  }
}
