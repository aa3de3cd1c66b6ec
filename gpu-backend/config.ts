/** The backend's settings: environment variables -> one frozen, complete object. A bad value is refused by name. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { HarnessError } from '../shared/problem.ts';
import { type KeyRing, parseKeyRing } from '../shared/signature.ts';
import type { SessionLimits } from './db/connect.ts';
import type { RebuildBounds } from './generations/rebuild-policy.ts';

export interface BackendConfig {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** Folder of all state: database, generations, lock. */
  dataDir: string;
  /** Folder of the generations; backends that share a database share it. */
  generationsDir: string;
  /** Where the index of new generations goes; absent, into their folders. */
  milvus: { address: string; token: string | undefined; prefix: string; deadlineMs: number } | undefined;
  /** Folder of the student's bundle. */
  bundleDir: string;
  /** Folder of another student of the same space, for plans that name it; absent, none. */
  candidateBundleDir: string | undefined;
  /** How long running requests may take once the service is asked to stop. */
  drainMs: number;
  /** Verifies the edge's calls. */
  keys: KeyRing;
  /** Bearer keys of programs that cannot sign, for `/v1/embeddings`. */
  apiKeys: KeyRing;
  /** A Postgres server; absent, the embedded database in the data folder. */
  databaseUrl: string | undefined;
  /** How long its sessions may take. */
  sessionLimits: SessionLimits;
  /** Bytes of events kept on disk at most while the database is away. */
  spoolBytes: number;
  /** Share of requests traced whose caller does not; absent, nothing is traced. */
  traceRate: number | undefined;
  /** Where alerts are posted; absent, they are shown on the dashboard only. */
  alertWebhook: string | undefined;
  /** After how many days the row of a removed ad goes; 0 is never. */
  removedAdDays: number;
  device: 'cpu' | 'cuda' | 'webgpu';
  /** What searches the vectors of a market: its graph, or an exact scan on the device. */
  index: 'hnsw' | 'scan';
  /** When a generation is built without anybody asking. */
  rebuild: RebuildBounds;
  /** Threads that encode queries. */
  encoderWorkers: number;
  /** Texts that may wait to be encoded before calls are refused. */
  encoderQueue: number;
  /** Bytes for vectors of the texts asked for most. */
  embeddingCacheBytes: number;
  /** Share of the answers whose candidates are logged under the data folder, 0 to 1. */
  candidateSampling: number;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
}

/** An integer in decimal digits; `message` completes "expected ...". */
const integer = (from: number, to: number, message: string) =>
  z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((value) => from <= value && value <= to, message);
const choice = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `one of ${values.join(', ')}` });

const SECONDS = 'seconds from 0 (no limit) to 86400';
const WORKERS = Math.min(4, Math.max(1, availableParallelism() - 1));

const SETTINGS = z.object({
  PORT: integer(0, 65_535, 'a port from 0 (any free one) to 65535').default(8788).describe('Port to listen on'),
  HOST: z
    .string()
    .default('127.0.0.1')
    .describe('Address to listen on; what needs no signature is open to whom it serves'),
  HARNESS_DRAIN_SECONDS: integer(0, 3_600, 'seconds from 0 to 3600')
    .default(20)
    .describe('Seconds that running requests may take after SIGTERM; without any it ends at once'),
  HARNESS_DATA: z.string().default('.harness').describe('Folder of all state: database, generations, lock'),
  HARNESS_GENERATIONS: z
    .string()
    .optional()
    .describe('Folder of the generations, shared by backends that share a database; unset, in HARNESS_DATA'),
  HARNESS_MILVUS: z
    .string()
    .regex(/^(https?:\/\/)?[\w.-]+:\d+$/, 'host:port or https://host:port')
    .optional()
    .describe('Milvus that holds the index; unset, it is in this process'),
  HARNESS_MILVUS_TOKEN: z.string().optional().describe('user:password or API key of Milvus'),
  HARNESS_MILVUS_PREFIX: z
    .string()
    .regex(/^[A-Za-z_]\w{0,60}$/, 'letters, digits and _')
    .default('harness')
    .describe("Begins the names of Milvus' collections; one a deployment"),
  HARNESS_MILVUS_DEADLINE_MS: integer(1, 10_000, 'milliseconds from 1 to 10000')
    .default(50)
    .describe(
      'How long a search in Milvus may take before a small market is scanned and a query of a large one refused',
    ),
  HARNESS_BUNDLE: z.string().default('models/default').describe('Folder of the student to serve'),
  HARNESS_CANDIDATE_BUNDLE: z
    .string()
    .optional()
    .describe('Folder of another student of the same space, for arms of experiments whose plan names it'),
  HARNESS_KEYS: z
    .string({ error: 'id:secret[,id:secret], the same as at the edge (npm start makes one by itself)' })
    .describe('Keys that verify signed calls, id:secret[,id:secret]; required'),
  HARNESS_API_KEYS: z
    .string()
    .optional()
    .describe('Bearer keys for /v1/embeddings, id:secret[,id:secret], for clients that cannot sign'),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: 'postgres://user:password@host:port/database' })
    .optional()
    .describe('Postgres 15 or newer; unset, the embedded database in HARNESS_DATA'),
  HARNESS_STATEMENT_SECONDS: integer(0, 86_400, SECONDS)
    .default(30)
    .describe('Seconds that Postgres gives a statement of a request; 0, no limit'),
  HARNESS_BATCH_SECONDS: integer(0, 86_400, SECONDS)
    .default(1_800)
    .describe('The same for reports, rollups and publications'),
  HARNESS_IDLE_TRANSACTION_SECONDS: integer(0, 86_400, SECONDS)
    .default(60)
    .describe('Seconds after which Postgres ends a transaction that asks it nothing; 0, never'),
  HARNESS_SPOOL_MB: integer(1, 1_000_000, 'megabytes from 1 to 1000000')
    .default(1_024)
    .describe('Room for events on disk while the database is away, in megabytes'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'an http or https URL' })
    .optional()
    .describe('Collector of traces, OTLP over HTTP; unset, nothing is traced'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number({ error: 'a share from 0 to 1' })
    .min(0, 'a share from 0 to 1')
    .max(1, 'a share from 0 to 1')
    .default(1)
    .describe('Share of requests traced, beside those whose caller traces them'),
  HARNESS_ALERT_WEBHOOK: z
    .url({ protocol: /^https?$/, error: 'an http or https URL' })
    .optional()
    .describe('Where alarms of experiments are posted, signed; unset, they are on the dashboard only'),
  HARNESS_REMOVED_AD_DAYS: integer(0, 36_500, 'days from 0 (for ever) to 36500')
    .default(30)
    .describe('Days that the row of a removed ad is kept in the database; 0, for ever'),
  HARNESS_DEVICE: choice('cpu', 'cuda', 'webgpu')
    .default('cpu')
    .describe('Where queries are encoded; falls back to cpu'),
  HARNESS_INDEX: choice('hnsw', 'scan')
    .default('hnsw')
    .describe('What searches vectors: a graph (hnsw), or an exact scan on HARNESS_DEVICE, which falls back to hnsw'),
  HARNESS_REBUILD_SHARE: z
    .string()
    .regex(/^(0(\.\d{1,9})?|1(\.0+)?)$/, 'a share from 0 to 1')
    .transform(Number)
    .default(0.1)
    .describe('Share of ads new or gone since the generation from which one is built by itself; 0 for never'),
  HARNESS_REBUILD_MIN_ADS: integer(1, 999_999_999, 'a number of ads from 1 to 999999999')
    .default(1_000)
    .describe('Ads new or gone below which none is built by itself'),
  HARNESS_REBUILD_QUIET_S: integer(0, 86_400, 'seconds from 0 to 86400')
    .default(30)
    .describe('Seconds without an ad that comes or goes before it is built'),
  HARNESS_REBUILD_WAIT_S: integer(0, 86_400, 'seconds from 0 to 86400')
    .default(900)
    .describe('Seconds that it waits for this at most'),
  HARNESS_ENCODER_WORKERS: integer(1, 64, 'a number of threads from 1 to 64')
    .default(WORKERS)
    .describe('Threads that encode queries'),
  HARNESS_ENCODER_QUEUE: integer(1, 1_000_000, 'a number of texts from 1 to 1000000')
    .default(1_024)
    .describe('Texts that may wait to be encoded before calls are refused with 429'),
  HARNESS_EMBEDDING_CACHE_MB: integer(1, 65_536, 'megabytes from 1 to 65536')
    .default(64)
    .describe('Megabytes for vectors of the texts asked for most'),
  HARNESS_CANDIDATE_SAMPLING: z
    .string()
    .regex(/^(0(\.\d{1,9})?|1(\.0+)?)$/, 'a share from 0 to 1')
    .transform(Number)
    .default(0)
    .describe('Share of the answers whose candidates are logged in HARNESS_DATA for training, for example 0.01'),
  LOG_LEVEL: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')
    .default('info')
    .describe('Least level logged'),
});

/** One line a setting, for `--help`. */
export function settingsHelp(names: readonly string[] = Object.keys(SETTINGS.shape)): string {
  const lines = Object.entries(SETTINGS.shape)
    .filter(([name]) => names.includes(name))
    .map(([name, schema]) => {
      const fallback = z.safeParse(schema, undefined);
      const shown = fallback.success && fallback.data !== undefined ? ` (default: ${fallback.data})` : '';
      return `  ${name.padEnd(32)} ${schema.description}${shown}`;
    });
  return `\nSettings (environment):\n${lines.join('\n')}`;
}

/** Settings whose value must not be repeated in a message. */
const SECRET = new Set(['HARNESS_MILVUS_TOKEN', 'HARNESS_KEYS', 'HARNESS_API_KEYS', 'DATABASE_URL']);

/** Reads the settings, empty ones counting as unset; throws `configuration` in one line with name, expected and received. */
export function parseConfig(env: Record<string, string | undefined>): Readonly<BackendConfig> {
  const given = Object.fromEntries(
    Object.keys(SETTINGS.shape)
      .map((name) => [name, env[name]?.trim()] as const)
      .filter(([, value]) => value !== undefined && value !== ''),
  );
  const result = SETTINGS.safeParse(given);
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    const name = String(path[0]);
    const got = given[name] === undefined ? 'nothing' : SECRET.has(name) ? 'another form' : JSON.stringify(given[name]);
    throw new HarnessError('configuration', `${name}: expected ${message}, got ${got}.`);
  }
  const settings = result.data;
  return Object.freeze({
    host: settings.HOST,
    port: settings.PORT,
    drainMs: settings.HARNESS_DRAIN_SECONDS * 1_000,
    dataDir: settings.HARNESS_DATA,
    generationsDir: settings.HARNESS_GENERATIONS ?? join(settings.HARNESS_DATA, 'generations'),
    milvus:
      settings.HARNESS_MILVUS === undefined
        ? undefined
        : {
            address: settings.HARNESS_MILVUS,
            token: settings.HARNESS_MILVUS_TOKEN,
            prefix: settings.HARNESS_MILVUS_PREFIX,
            deadlineMs: settings.HARNESS_MILVUS_DEADLINE_MS,
          },
    bundleDir: settings.HARNESS_BUNDLE,
    candidateBundleDir: settings.HARNESS_CANDIDATE_BUNDLE,
    keys: parseKeyRing(settings.HARNESS_KEYS),
    apiKeys: settings.HARNESS_API_KEYS === undefined ? [] : parseKeyRing(settings.HARNESS_API_KEYS, 'HARNESS_API_KEYS'),
    databaseUrl: settings.DATABASE_URL,
    sessionLimits: {
      statementSeconds: settings.HARNESS_STATEMENT_SECONDS,
      batchSeconds: settings.HARNESS_BATCH_SECONDS,
      idleTransactionSeconds: settings.HARNESS_IDLE_TRANSACTION_SECONDS,
    },
    spoolBytes: settings.HARNESS_SPOOL_MB * 1_000_000,
    traceRate: settings.OTEL_EXPORTER_OTLP_ENDPOINT === undefined ? undefined : settings.OTEL_TRACES_SAMPLER_ARG,
    alertWebhook: settings.HARNESS_ALERT_WEBHOOK,
    removedAdDays: settings.HARNESS_REMOVED_AD_DAYS,
    device: settings.HARNESS_DEVICE,
    index: settings.HARNESS_INDEX,
    rebuild: {
      share: settings.HARNESS_REBUILD_SHARE,
      minAds: settings.HARNESS_REBUILD_MIN_ADS,
      quietMs: settings.HARNESS_REBUILD_QUIET_S * 1_000,
      maxWaitMs: settings.HARNESS_REBUILD_WAIT_S * 1_000,
    },
    encoderWorkers: settings.HARNESS_ENCODER_WORKERS,
    encoderQueue: settings.HARNESS_ENCODER_QUEUE,
    embeddingCacheBytes: settings.HARNESS_EMBEDDING_CACHE_MB * 1e6,
    candidateSampling: settings.HARNESS_CANDIDATE_SAMPLING,
    logLevel: settings.LOG_LEVEL,
  });
}
