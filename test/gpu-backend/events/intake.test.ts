/** Where events go when a real server is there and does not store them: onto the disk, and once into the tables afterwards. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type Availability, DatabaseAway, watchAvailability } from '../../../gpu-backend/db/availability.ts';
import { type Database, openPostgres, rows } from '../../../gpu-backend/db/connect.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { groupCommit } from '../../../gpu-backend/events/group-commit.ts';
import { createIntake } from '../../../gpu-backend/events/intake.ts';
import { openSpool } from '../../../gpu-backend/events/spool.ts';
import type { EventBatchResult } from '../../../shared/contract/events.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type PostgresServer, startPostgresServer } from '../../setup/postgres-server.ts';
import { sampleClick, sampleImpression } from '../../setup/samples.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgresServer();
});
afterAll(() => server?.stop());

const folder = testFolder('intake');

test.each([
  ['statement timeout', 'statement_timeout=3000', true],
  ['statement timeout', 'statement_timeout=3000', false],
  ['lock timeout', 'lock_timeout=100', true],
  ['lock timeout', 'lock_timeout=100', false],
])(
  'what a %s ends (%s, COPY: %s) is on disk when it is acknowledged, and stored once',
  async (why, setting, byCopy) => {
    const url = await server.createDatabase();
    const [connection, other] = await Promise.all([openPostgres(`${url}?${setting}`), openPostgres(url)]);
    onTestFinished(async () => void (await Promise.all([connection.close(), other.close()])));
    await migrate(other.db);
    const spool = openSpool({
      dir: folder(`${setting}-${byCopy}`),
      maxBytes: 1 << 20,
      onDamage: () => {},
      onFailure: () => {},
    });
    const back = Promise.withResolvers<void>();
    const lost: string[] = [];
    const availability: Availability = watchAvailability({
      db: connection.db,
      everyMs: 10,
      onAway: (reason) => lost.push(reason),
      onBack: back.resolve,
    });
    onTestFinished(() => availability.close());
    const replays: unknown[] = [];
    const intake = createIntake({
      spool,
      availability,
      store: groupCommit({ db: connection.db, copying: byCopy ? connection.copying : undefined }),
      onResult: () => {},
      onReplay: (replayed) => replays.push(replayed),
    });
    const events = [sampleImpression(), sampleClick()];

    await other.db.transaction(async (tx) => {
      await tx.execute(sql`lock table clicks in access exclusive mode`);
      expect(await intake.take([...events, {}])).toMatchObject({ stored: 0, spooled: 2, rejected: [{ index: 2 }] });
      expect(lost).toEqual([`canceling statement due to ${why}`]);
    });
    await back.promise;
    await intake.replay();
    expect(replays).toEqual([{ requests: 1 }]);
    expect(spool.bytes()).toBe(0);
    expect(await intake.take(events)).toMatchObject({ stored: 0, duplicates: 2 });
    const counted = sql`select (select count(*)::int from impressions) as shown, (select count(*)::int from clicks) as clicked`;
    expect(await rows(other.db, counted)).toEqual([{ shown: 1, clicked: 1 }]);
    await spool.close();
  },
);

test('what no database could store is refused at once, not acknowledged and put on disk', async () => {
  const spool = openSpool({ dir: folder('unstorable'), maxBytes: 1 << 20, onDamage: () => {}, onFailure: () => {} });
  onTestFinished(() => spool.close());
  const guard = () => Promise.reject(new DatabaseAway('gone'));
  const intake = createIntake({
    spool,
    availability: { away: () => 'gone', guard, close: () => {} },
    store: () => Promise.reject(new Error('away')),
    onResult: () => {},
    onReplay: () => {},
  });
  const odd = [
    { ...sampleImpression(), query: 'sofa\0' },
    { ...sampleClick(), impressionId: '\ud800' },
  ];
  expect(await intake.take([...odd, sampleClick()])).toMatchObject({
    spooled: 1,
    rejected: [
      { index: 0, reason: 'query: expected text without U+0000 and unpaired surrogates' },
      { index: 1, reason: 'impressionId: expected text without U+0000 and unpaired surrogates' },
    ],
  });
});

test('what takes the database longer than a caller waits goes to disk, and is stored from there in its own time', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const spool = openSpool({ dir: folder('slow'), maxBytes: 1 << 20, onDamage: () => {}, onFailure: () => {} });
  const db = { execute: async () => [] } as unknown as Database;
  const lost: string[] = [];
  const back = Promise.withResolvers<void>();
  const availability = watchAvailability({
    ...{ db, everyMs: 10 },
    onAway: (reason) => lost.push(reason),
    onBack: back.resolve,
  });
  onTestFinished(() => availability.close());
  const never = new Promise<never>(() => {});
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<EventBatchResult>()];
  let calls = 0;
  const store = () => {
    if (calls++ === 0) return never;
    asked.resolve();
    return answer.promise;
  };
  const replays: unknown[] = [];
  const onReplay = (replayed: unknown) => void replays.push(replayed);
  const intake = createIntake({ spool, availability, store, onResult: () => {}, onReplay });
  const taken = intake.take([sampleImpression()]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await taken).toMatchObject({ spooled: 1 });
  await vi.advanceTimersByTimeAsync(10);
  await back.promise;
  const replay = intake.replay();
  await asked.promise;
  await vi.advanceTimersByTimeAsync(600_000);
  answer.resolve({ stored: 1, duplicates: 0, rejected: [] });
  await replay;
  expect([replays, lost, spool.bytes()]).toEqual([[{ requests: 1 }], ['no answer within 10000 ms'], 0]);
});
