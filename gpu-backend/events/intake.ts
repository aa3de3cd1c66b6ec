/**
 * Where events come in: into the database, or onto the disk while it is away, from where they are stored once when it is
 * back. An answer is given when the events are in one of the two; order does not matter, because ingest counts an id once.
 */
import type { EventBatchResult } from '../../shared/contract/events.ts';
import { type Availability, DatabaseAway } from '../db/availability.ts';
import { readBatch, readStorableEvent } from './ingest.ts';
import type { Spool } from './spool.ts';

export interface IntakeOptions {
  /** Stores a request's events and resolves after the commit. */
  store: (values: readonly unknown[]) => Promise<EventBatchResult>;
  spool: Spool;
  availability: Availability;
  /** Told of every result, replayed events included. */
  onResult: (result: EventBatchResult) => void;
  /** Called when events were stored from the spool, with what stopped that where it did not end well. */
  onReplay: (replayed: { requests: number } | { error: unknown }) => void;
}

export interface Intake {
  /** The events of one request. Throws `not_ready` when the database is away and the spool is full. */
  take(values: readonly unknown[]): Promise<EventBatchResult>;
  /** Stores what the spool holds; to be called at the start and when the database is back. Never rejects. */
  replay(): Promise<void>;
}

/** A database that takes longer, or gives up before, counts as away. The events may be stored after all, and count once. */
const DEADLINE_MS = 10_000;

export function createIntake({ store, spool, availability, onResult, onReplay }: IntakeOptions): Intake {
  const intoDatabase = async (values: readonly unknown[], limit?: { deadlineMs: number }) => {
    const result = await availability.guard(() => store(values), limit);
    onResult(result);
    return result;
  };
  return {
    async take(values) {
      try {
        return await intoDatabase(values, { deadlineMs: DEADLINE_MS });
      } catch (error) {
        if (!(error instanceof DatabaseAway)) throw error;
      }
      const { events, duplicates, rejected } = readBatch(values, readStorableEvent);
      if (events.length > 0) await spool.append(events);
      const result = { stored: 0, duplicates, rejected, spooled: events.length };
      onResult(result);
      return result;
    },
    async replay() {
      if (spool.bytes() === 0) return;
      try {
        // Nobody waits for it, and what takes longer than a deadline would at every try.
        onReplay({ requests: await spool.drain((events) => intoDatabase(events)) });
      } catch (error) {
        onReplay({ error });
      }
    },
  };
}
