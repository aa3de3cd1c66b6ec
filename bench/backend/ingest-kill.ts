/**
 * SIGKILL of the backend at random moments of taking events in, with the database there and away: nothing lost, nothing
 * doubled.
 */
import { makeFolders } from '../../test/setup/backend.ts';
import { killedIngest } from '../../test/setup/killed-ingest.ts';
import { startPostgresServer } from '../../test/setup/postgres-server.ts';
import { bounded, type Row } from '../row.ts';

export interface IngestKillOptions {
  kills: number;
  say: (line: string) => void;
}

export async function ingestKillRows({ kills, say }: IngestKillOptions): Promise<Row[]> {
  const server = await startPostgresServer({ settings: ['fsync=on'] });
  const folders = await makeFolders();
  try {
    const outcome = await killedIngest({
      server,
      folders,
      // Real moments of a real machine: no seed makes them the same twice.
      kills: Array.from({ length: kills }, (_, i) => ({
        away: i % 4 === 3,
        requests: 1 + Math.floor(60 * Math.random()),
      })),
      onKill: (kill) => kill % 10 === 0 && say(`killed ${kill} of ${kills} times`),
    });
    const when = `kill -9 at ${kills} moments of ingest, a quarter of them without Postgres`;
    return [
      { metric: `${when}: events issued`, value: outcome.issued, unit: 'events' },
      { metric: `${when}: requests without an answer, sent again`, value: outcome.repeated, unit: 'requests' },
      bounded(`${when}: events lost`, outcome.lost, 'events', ['<=', 0]),
      bounded(`${when}: events or charges doubled`, outcome.doubled, 'events', ['<=', 0]),
    ];
  } finally {
    await server.stop();
    folders.remove();
  }
}
