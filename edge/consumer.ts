/**
 * The queues' other end: batches go to the backend, and a message is acknowledged only once its event is stored. A dead
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
  readonly body: HarnessEvent;
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

/** Never throws: what was not stored is retried, after a pause that grows with the attempts. */
export async function consume(batch: EventMessages, options: ConsumerOptions): Promise<void> {
  const dead = batch.queue.endsWith('-dead');
  for (const messages of splitBatches(batch.messages, ({ body }) => body)) {
    try {
      settle(messages, await options.store(messages.map(({ body }) => body)), options);
    } catch (error) {
      if (dead) await parkOrRetry(messages, options);
      else
        for (const message of messages) message.retry({ delaySeconds: Math.min(message.attempts, MAX_DELAY_SECONDS) });
      if (messages.some(({ attempts }) => attempts === 1)) {
        options.onError(`${messages.length} events of ${batch.queue} wait for the backend`, error);
      }
    }
  }
}

/** What the backend refuses now it will refuse always: said once, then done with. */
function settle(
  messages: readonly EventMessage[],
  result: EventBatchResult,
  { counts, onError }: ConsumerOptions,
): void {
  const rejected = new Map(result.rejected.map(({ index, reason }) => [index, reason]));
  for (const [index, message] of messages.entries()) {
    const reason = rejected.get(index);
    if (reason === undefined) counts.delivered += 1;
    else {
      counts.rejected += 1;
      onError(`event ${message.body?.id} was refused`, reason);
    }
    message.ack();
  }
}

async function parkOrRetry(messages: readonly EventMessage[], { park, onError }: ConsumerOptions): Promise<void> {
  try {
    await park(messages.map(({ body }) => body));
    for (const message of messages) message.ack();
  } catch (error) {
    for (const message of messages) message.retry({ delaySeconds: DEAD_LETTER_DELAY_SECONDS });
    onError(`${messages.length} dead letters could not move to the outbox`, error);
  }
}
