/** The queue's other end: batches go to the backend, and a message is acknowledged only once its event is stored. */
import type { EventBatchResult, HarnessEvent } from '../shared/contract/events.ts';
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
  counts: EventCounts;
  onError: (message: string, error: unknown) => void;
}

/** Longest pause between two attempts: short enough that the backend's return is noticed soon. */
const MAX_DELAY_SECONDS = 15;
/** Between attempts at what has failed 100 times already; see the dead-letter queue in wrangler.toml. */
const DEAD_LETTER_DELAY_SECONDS = 60;

/** Never throws: what was not stored is retried, after a pause that grows with the attempts. */
export async function consume(batch: EventMessages, { store, counts, onError }: ConsumerOptions): Promise<void> {
  let result: EventBatchResult;
  try {
    result = await store(batch.messages.map(({ body }) => body));
  } catch (error) {
    const dead = batch.queue.endsWith('-dead');
    for (const message of batch.messages) {
      message.retry({ delaySeconds: dead ? DEAD_LETTER_DELAY_SECONDS : Math.min(message.attempts, MAX_DELAY_SECONDS) });
    }
    if (batch.messages.some(({ attempts }) => attempts === 1)) {
      onError(`${batch.messages.length} events of ${batch.queue} wait for the backend`, error);
    }
    return;
  }
  // What the backend refuses now it will refuse always: said once, then done with.
  const rejected = new Map(result.rejected.map(({ index, reason }) => [index, reason]));
  for (const [index, message] of batch.messages.entries()) {
    const reason = rejected.get(index);
    if (reason === undefined) counts.delivered += 1;
    else {
      counts.rejected += 1;
      onError(`event ${message.body?.id} was refused`, reason);
    }
    message.ack();
  }
}
