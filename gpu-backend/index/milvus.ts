/**
 * Approximate search in Milvus, for catalogues whose graph outgrows one machine (https://milvus.io). A collection holds
 * the rows of one market of one generation and never changes. Milvus proposes rows, the rows here score them, so it
 * answers with the same scores as every other adapter. Which ads may be served is known here and at once: the filter is
 * applied to more hits than asked for, in growing steps, and what it leaves of a small set is scanned; so a paused ad
 * needs no write there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { HarnessError } from '../../shared/problem.ts';
import { type AnnIndex, byScore, type Hit, requireDimension } from './ann-index.ts';
import { scan } from './exact.ts';
import { EXPANSION_SEARCH } from './hnsw.ts';
import type { VectorRows } from './vector-rows.ts';

export interface MilvusOptions {
  /** host:port, or an http(s) URL. */
  address: string;
  /** `user:password`, or an API key. */
  token?: string | undefined;
  /** Prefix of the names of all collections and aliases: one per deployment, where several share a Milvus. */
  prefix?: string;
  /** How long one search there may take. */
  deadlineMs?: number;
  /** Up to this many rows are scanned here rather than asked for again, or instead of an answer that did not come. */
  scanRows?: number;
  /** Called with the reason whenever Milvus failed or was late, before what is done instead. */
  onFallback?: (fallback: MilvusFallback) => void;
}

/**
 * `scan`: the market is small enough to be searched here. `refused`: the query was refused. `left`: a collection that nobody
 * needs any more could not be removed.
 */
export interface MilvusFallback {
  to: 'scan' | 'refused' | 'left';
  reason: string;
}

export interface Milvus {
  /** Collection of a generation's market. */
  collectionOf(generation: number, market: string): string;
  /** Alias of the live generation's. */
  aliasOf(market: string): string;
  /** What another process of this machine connects by. */
  readonly connection: Pick<MilvusOptions, 'address' | 'token'>;
  /** Makes the collection, replacing one of that name; yields how many rows are in. */
  build(collection: string, rows: VectorRows, members: ArrayLike<number>): AsyncGenerator<number, void>;
  /** The index over a collection; throws `bundle_damaged` when it holds another number of rows or is not there. */
  open(
    collection: string,
    rows: VectorRows,
    options: { members: ArrayLike<number>; expansionSearch?: number | undefined },
  ): Promise<AnnIndex>;
  /** Lets the alias name that collection, at once for all who search by it. */
  promote(alias: string, collection: string): Promise<void>;
  /** Removes a collection that may be there; one that cannot be removed is left, and that is logged. */
  discard(collection: string): Promise<void>;
  close(): Promise<void>;
}

/** Rows sent a call: 2 MB at 384 dimensions. */
const CHUNK = 1_000;
/** Most hits that Milvus gives a search. */
const MOST_HITS = 16_384;
const HNSW = { M: 16, efConstruction: 128 };
/**
 * Steps of a build (flush, index, load) take their time; indexing may go on for as long as it makes progress within
 * that time.
 */
const BUILD_MS = 600_000;
const POLL_MS = 500;
const CONNECT_MS = 5_000;
const SEARCH_MS = 50;
const SCAN_ROWS = 20_000;

interface Status {
  code?: number;
  reason?: string;
}

/** Milvus answers most faults with a status instead of an error. */
function requireSuccess<T extends Status | { status: Status }>(answer: T): T {
  const { code, reason } = 'status' in answer ? answer.status : answer;
  if (code !== 0) throw new Error(reason || `status ${code}`);
  return answer;
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0]!;

/** Rejects when `work` takes longer than `ms`. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const over = new AbortController();
  const late = pause(ms, undefined, { signal: over.signal, ref: false }).then(() => {
    throw new Error(`no answer within ${ms} ms`);
  });
  late.catch(() => {}); // aborted below
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}

/** Connects; throws `configuration` when nothing answers at the address. */
export async function openMilvus(options: MilvusOptions): Promise<Milvus> {
  const { address, token, prefix = 'harness', deadlineMs = SEARCH_MS, scanRows = SCAN_ROWS, onFallback } = options;
  const client = new MilvusClient({
    address,
    ...(token === undefined ? {} : { token }),
    timeout: BUILD_MS,
    maxRetries: 0,
    logLevel: 'error',
    telemetry: { enabled: false },
  });
  try {
    await within(client.connectPromise, CONNECT_MS);
  } catch (cause) {
    await client.closeConnection().catch(() => {});
    throw new HarnessError(
      'configuration',
      `HARNESS_MILVUS: expected a Milvus that answers at ${address}, got: ${reasonOf(cause)}; unset it to search in this process.`,
      { cause },
    );
  }

  const over = (
    collection: string,
    rows: VectorRows,
    {
      members,
      expansionSearch = EXPANSION_SEARCH,
    }: { members: ArrayLike<number>; expansionSearch?: number | undefined },
  ): AnnIndex => {
    const size = members.length;
    const propose = async (query: Float32Array, count: number): Promise<Hit[]> => {
      const asked = client.search({
        collection_name: collection,
        data: [Array.from(query)],
        limit: count,
        params: { ef: Math.max(index.expansionSearch!, count) },
        timeout: deadlineMs,
      });
      const { results } = requireSuccess(await within(asked, deadlineMs));
      return results.map(({ id, row }) => Number(row ?? id)).map((row) => ({ row, score: rows.cosine(row, query) }));
    };
    const best = (hits: Hit[], wanted: number) => hits.sort(byScore).slice(0, wanted);
    const searchThere = async (query: Float32Array, wanted: number, accept: (row: number) => boolean) => {
      const most = Math.min(size, MOST_HITS);
      // A few more than wanted: the graph confuses neighbours at the edge, and a filter takes some away.
      let count = Math.min(most, wanted + Math.max(16, wanted >> 2));
      for (;;) {
        const proposed = await propose(query, count);
        const hits = proposed.filter(({ row }) => accept(row));
        if (hits.length >= wanted) return best(hits, wanted);
        // What share of the rows the filter lets through, by what it did to those nearest to the query.
        const share = (hits.length + 0.5) / (proposed.length + 1);
        if (count === most || proposed.length < count || share * size <= scanRows) return undefined;
        count = Math.min(most, Math.max(2 * count, Math.ceil((1.25 * wanted) / share)));
      }
    };
    const index: AnnIndex = {
      size,
      dimension: rows.dimension,
      expansionSearch,
      async search(query, k, accept = () => true) {
        requireDimension(query, rows.dimension);
        const wanted = Math.min(k, size);
        if (wanted <= 0) return [];
        try {
          const found = await searchThere(query, wanted, accept);
          if (found !== undefined) return found;
        } catch (cause) {
          const reason = reasonOf(cause);
          const to = size <= scanRows ? 'scan' : 'refused';
          onFallback?.({ to, reason });
          if (to === 'refused') {
            throw new HarnessError('backend_unavailable', `Milvus did not answer for ${collection}: ${reason}.`, {
              cause,
              retryAfterSeconds: 1,
            });
          }
        }
        return scan(rows, query, { k: wanted, members, accept });
      },
    };
    return index;
  };

  const drop = async (collection: string) => {
    const { value } = requireSuccess(await client.hasCollection({ collection_name: collection }));
    if (value) requireSuccess(await client.dropCollection({ collection_name: collection }));
  };

  /** Waits for all rows to be in the index: what is loaded before that is searched row by row, and no gate measures the graph. */
  const indexed = async (collection: string) => {
    let [rows, changedAt] = ['', performance.now()];
    for (;;) {
      const asked = { collection_name: collection, field_name: 'vector' };
      const [index] = requireSuccess(await client.describeIndex(asked)).index_descriptions;
      if (index?.state === 'Finished') return;
      if (index?.state === 'Failed')
        throw new Error(`Milvus could not index ${collection}: ${index.index_state_fail_reason}`);
      if (index !== undefined && index.indexed_rows !== rows)
        [rows, changedAt] = [index.indexed_rows, performance.now()];
      if (performance.now() - changedAt > BUILD_MS)
        throw new Error(`Milvus indexed nothing more of ${collection} within ${BUILD_MS} ms: ${rows} rows`);
      await pause(POLL_MS);
    }
  };

  return {
    connection: { address, token },
    collectionOf: (generation, market) => `${prefix}_${generation}_${market}`,
    aliasOf: (market) => `${prefix}_live_${market}`,
    discard: (collection) =>
      drop(collection).catch((error) => onFallback?.({ to: 'left', reason: `${collection}: ${reasonOf(error)}` })),
    async *build(collection, rows, members) {
      await drop(collection);
      requireSuccess(
        await client.createCollection({
          collection_name: collection,
          fields: [
            { name: 'row', data_type: DataType.Int64, is_primary_key: true },
            { name: 'vector', data_type: DataType.FloatVector, dim: rows.dimension },
          ],
          consistency_level: 'Eventually', // it never changes once it is built
        }),
      );
      for (let from = 0; from < members.length; from += CHUNK) {
        const count = Math.min(CHUNK, members.length - from);
        const data = Array.from({ length: count }, (_, i) => {
          const row = members[from + i]!;
          return { row, vector: Array.from(rows.unit(row)) };
        });
        requireSuccess(await client.insert({ collection_name: collection, data }));
        yield from + count;
      }
      requireSuccess(await client.flushSync({ collection_names: [collection] }));
      const { M, efConstruction } = HNSW;
      requireSuccess(
        await client.createIndex({
          collection_name: collection,
          field_name: 'vector',
          index_type: 'HNSW',
          metric_type: 'COSINE',
          params: { M, efConstruction },
        }),
      );
      await indexed(collection);
      requireSuccess(await client.loadCollectionSync({ collection_name: collection }));
    },
    async open(collection, rows, options) {
      const { value } = requireSuccess(await client.hasCollection({ collection_name: collection }));
      const count = value
        ? Number(requireSuccess(await client.getCollectionStatistics({ collection_name: collection })).data.row_count)
        : 0;
      if (count !== options.members.length) {
        throw new HarnessError(
          'bundle_damaged',
          `Milvus collection ${collection}: expected ${options.members.length} vectors, got ${value ? count : 'no such collection'}; build the generation again.`,
        );
      }
      requireSuccess(await client.loadCollectionSync({ collection_name: collection }));
      return over(collection, rows, options);
    },
    async promote(alias, collection) {
      const named = { collection_name: collection, alias };
      const altered = await client.alterAlias(named);
      if (altered.code !== 0) requireSuccess(await client.createAlias(named)); // the first of that alias
    },
    async close() {
      await client.closeConnection();
    },
  };
}
