/**
 * Budgets of a new day: what days before it spent is forgotten (spend.ts), at once where a day began while nothing ran, and then at every
 * midnight. Whether a day is over is for the database's clock to say, which may be behind this one, so that it is asked every minute.
 */
import { untilMidnight } from './spend.ts';

export interface NewDayOptions {
  /** Forgets past days; resolves with whether there were any. */
  forget: () => Promise<boolean>;
  /** Called after days were forgotten (and the configuration's version was raised). */
  onKillListChange: () => Promise<void>;
  now: () => number;
  /** Told of a look that failed; the next comes in its time. */
  onError: (error: unknown) => void;
}

const ASK_MS = 60_000;

/** Looks once, and rejects if that fails; then again and again until the returned function is called. */
export async function followDays({ forget, onKillListChange, now, onError }: NewDayOptions): Promise<() => void> {
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const look = async () => {
    if (await forget()) await onKillListChange();
  };
  const wait = () => {
    if (ended) return;
    timer = setTimeout(() => look().catch(onError).then(wait), Math.min(untilMidnight(now()), ASK_MS));
    timer.unref();
  };
  await look();
  wait();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
