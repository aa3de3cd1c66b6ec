/**
 * A backend process on a real Postgres that is killed with SIGKILL again and again while it takes events, with the database
 * there or away. What it did not acknowledge is sent again to the next process, as a queue does it; then rows are counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { backendEnvironment, call, type TestFolders } from './backend.ts';
import { freePort } from './free-port.ts';
import type { PostgresServer } from './postgres-server.ts';
import { sampleClick, sampleImpression } from './samples.ts';

export interface KilledIngestOptions {
  server: PostgresServer;
  folders: TestFolders;
  /** One kill each: whether the database is away at that time, and after how many requests the process is killed. */
  kills: readonly { away: boolean; requests: number }[];
  onKill?: (kill: number) => void;
}

export interface KilledIngest {
  /** Events sent at least once, with distinct ids. */
  issued: number;
  /** Of these, no row. */
  lost: number;
  /** Rows beyond one an event; what ads were charged beyond one charge a click counts as well. */
  doubled: number;
  /** Requests that had no answer and were sent again. */
  repeated: number;
}

const CHARGE_MICROS = 1_000;

/** An impression and its click. */
function page(id: string): HarnessEvent[] {
  return [
    sampleImpression({ id }),
    sampleClick({ id: `${id}:1`, impressionId: id, chargeMicros: CHARGE_MICROS, atMs: Date.now() }),
  ];
}

/** Resolves when `holds` does; a backend that does not answer yet does not count as a failure. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds().catch(() => false))) await pause(20);
}

export async function metric(url: string, name: string): Promise<number> {
  const { body } = await call<string>(url, 'GET /metrics', { unsigned: true });
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body)?.[1]);
}

export async function killedIngest({ server, folders, kills, onKill }: KilledIngestOptions): Promise<KilledIngest> {
  const databaseUrl = await server.createDatabase();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const start = async () => {
    const environment = backendEnvironment(folders, {
      PORT: String(port),
      LOG_LEVEL: 'fatal',
      DATABASE_URL: databaseUrl,
    });
    child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'gpu-backend/main.ts'], {
      env: { ...process.env, ...environment },
      stdio: 'inherit',
    });
    const ended = once(child, 'exit').then(() => {
      throw new Error('the backend ended before it answered');
    });
    ended.catch(() => undefined);
    await Promise.race([ended, until(async () => (await call(url, 'GET /v1/config')).status === 200)]);
  };
  const post = (events: HarnessEvent[]) => call(url, 'POST /v1/events', { body: { events } });
  const issued: HarnessEvent[] = [];
  let repeated = 0;
  try {
    await start();
    for (const [turn, { away, requests }] of kills.entries()) {
      if (away) await server.halt('SIGQUIT');
      const unanswered: HarnessEvent[][] = [];
      let sent = 0;
      const send = async (sender: number) => {
        for (;;) {
          const events = page(`turn-${turn}-${sender}-${sent}`);
          issued.push(...events);
          if (++sent === requests) child!.kill('SIGKILL');
          const status = await post(events).then(
            (answer) => answer.status,
            () => undefined,
          );
          if (status === 200) continue;
          unanswered.push(events);
          if (status === undefined) return;
        }
      };
      const gone = once(child!, 'exit');
      await Promise.all([gone, ...Array.from({ length: 4 }, (_, sender) => send(sender))]);
      if (away) await server.resume();
      await start();
      repeated += unanswered.length;
      for (const events of unanswered) {
        const { status } = await post(events);
        if (status !== 200) throw new Error(`events sent again: expected 200, got ${status}`);
      }
      onKill?.(turn + 1);
    }
    await until(async () => (await metric(url, 'harness_spool_bytes')) === 0);
  } finally {
    child?.kill('SIGKILL');
  }
  const client = postgres(databaseUrl, { max: 1 });
  const ids = await client<{ id: string }[]>`select id from impressions union all select id from clicks`;
  const [spend] = await client<
    { micros: number }[]
  >`select coalesce(sum(spent_micros), 0)::float8 as micros from ad_spend`;
  await client.end();
  const rows = new Set(ids.map(({ id }) => id));
  const clicks = issued.filter(({ type }) => type === 'click').length;
  return {
    issued: issued.length,
    lost: issued.filter(({ id }) => !rows.has(id)).length,
    doubled: ids.length - rows.size + Math.abs(spend!.micros / CHARGE_MICROS - clicks),
    repeated,
  };
}
