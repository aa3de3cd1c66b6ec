/**
 * Searches as a log, one a line of JSON, in the order of their time: what `--record` writes and `--replay` sends again.
 * Your own log needs `atMs`, `user`, `market` and `query`; `clicks` name ads, which are clicked again where they are
 * shown.
 */
import { z } from 'zod';
import { AdId, Market } from '../shared/contract/names.ts';
import { Device } from '../shared/experiment.ts';
import { Micros } from '../shared/money.ts';
import { HarnessError } from '../shared/problem.ts';
import type { SearchMet } from './send-traffic.ts';
import type { Visit } from './visits.ts';

const Kind = z.enum(['person', 'crawler', 'hidden crawler']);

const LoggedSearch = z.strictObject({
  /** UTC milliseconds. */
  atMs: z.int().nonnegative(),
  /** Any name that tells people apart. */
  user: z.string().min(1).max(200),
  kind: Kind.default('person'),
  market: Market,
  device: Device.default('desktop'),
  query: z.string().min(1).max(1_000),
  clicks: z
    .array(
      z.strictObject({
        adId: AdId,
        times: z.int().min(1).max(10).default(1),
        order: z.strictObject({ valueMicros: Micros, afterMs: z.int().nonnegative() }).optional(),
      }),
    )
    .default([]),
});
export type LoggedSearch = z.infer<typeof LoggedSearch>;

/** A search that was made, as a line of the log (without its newline). */
export function logLine(
  { slots }: { slots: readonly { position: number; adId: string }[] },
  { atMs, person, search, clicks }: SearchMet,
): string {
  const line: LoggedSearch = {
    atMs,
    user: person.id,
    kind: person.kind,
    market: person.market,
    device: person.device,
    query: search.text,
    clicks: clicks.flatMap(({ position, times, order }) => {
      const slot = slots.find((each) => each.position === position);
      return slot === undefined ? [] : [{ adId: slot.adId, times, ...(order === undefined ? {} : { order }) }];
    }),
  };
  return JSON.stringify(line);
}

/** Reads a log; throws `bad_request` with the name of the log and the number of the line that is none. */
export function parseLog(text: string, name = 'the log'): LoggedSearch[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const wrong = (what: string) =>
      new HarnessError('bad_request', `${name}, line ${i + 1}: expected a logged search, ${what}.`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw wrong('got no JSON');
    }
    const { success, data, error } = LoggedSearch.safeParse(value);
    if (success) return [data];
    throw wrong(`got ${error.issues[0]!.path.join('.')}: ${error.issues[0]!.message}`);
  });
}

/** Each logged search as a visit of its own, by time. */
export function replayed(log: readonly LoggedSearch[]): Visit[] {
  return log
    .toSorted((a, b) => a.atMs - b.atMs)
    .map(({ atMs, user, kind, market, device, query, clicks }) => ({
      atMs,
      person: { id: user, kind, market, device },
      planned: 1,
      *searches() {
        yield {
          text: query,
          react: ({ slots }) =>
            slots.flatMap(({ position, adId }) => {
              const click = clicks.find((each) => each.adId === adId);
              if (click === undefined) return [];
              const { times, order } = click;
              return [{ position, times, ...(order === undefined ? {} : { order }) }];
            }),
        };
      },
    }));
}
