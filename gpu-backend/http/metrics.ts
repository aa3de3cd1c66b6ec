/** Prometheus metrics: rate, errors and duration per route; what the encoder, the index and the events are doing. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { EventBatchResult } from '../../shared/contract/events.ts';
import type { Rung } from '../../shared/contract/query-route.ts';
import type { RetrieveResponse } from '../../shared/contract/retrieve.ts';
import type { Device } from '../encoder/encoder.ts';

export interface Metrics {
  observeRequest(request: { route: string; method: string; status: number; seconds: number }): void;
  observeRetrieval(timings: RetrieveResponse['timings']): void;
  observeEvents(result: EventBatchResult): void;
  /** New impressions, by the rung of the edge's ladder that answered. */
  countImpressions(byRung: ReadonlyMap<Rung, number>): void;
  /** A batch of events that the database refused as a whole. */
  countRefusedBatch(): void;
  /** Requests with events that were stored one by one, because COPY refused them together. */
  countRefusedGroup(): void;
  /** The database was found away. */
  countDatabaseLoss(): void;
  /** A file of spooled events was found damaged. */
  countSpoolDamage(): void;
  /** Events could not be put on disk. */
  countSpoolFailure(): void;
  /** Ads that were taken into the live state without a vector. */
  countMissingVectors(ads: number): void;
  /** Tells which device encodes, read when the metrics are. */
  device(read: () => Device): void;
  /** A number read when the metrics are. */
  gauge(options: WatchedNumber): void;
  /** The same of a number that only grows while the process lives; its name ends with `_total`. */
  counter(options: WatchedNumber): void;
  /** The exposition text, and its content type. */
  render(): Promise<{ text: string; contentType: string }>;
}

interface WatchedNumber {
  name: string;
  help: string;
  read: () => number;
}

const MILLISECONDS = [0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 200, 500, 1000];
const SECONDS = MILLISECONDS.map((ms) => ms / 1000);

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'harness_' });

  const requests = new Counter({
    name: 'harness_http_requests_total',
    help: 'Requests answered.',
    labelNames: ['route', 'method', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'harness_http_request_seconds',
    help: 'Time to the answer.',
    labelNames: ['route', 'method'],
    buckets: [...SECONDS, 2, 5, 10, 60],
    registers,
  });
  const retrieval = new Histogram({
    name: 'harness_retrieval_seconds',
    help: 'Time of one retrieval, by part.',
    labelNames: ['part'],
    buckets: SECONDS,
    registers,
  });
  const events = new Counter({
    name: 'harness_events_total',
    help: 'Events received, by what became of them.',
    labelNames: ['outcome'],
    registers,
  });
  const impressions = new Counter({
    name: 'harness_impressions_total',
    help: "Impressions stored, by the rung of the edge's ladder that answered.",
    labelNames: ['rung'],
    registers,
  });
  const refusedBatches = new Counter({
    name: 'harness_event_batches_refused_total',
    help: 'Batches that the database refused as a whole and that were stored in parts.',
    registers,
  });
  const refusedGroups = new Counter({
    name: 'harness_event_groups_refused_total',
    help: 'Groups of requests that COPY refused, mostly for a repeated delivery, and that were stored one by one.',
    registers,
  });
  const databaseLosses = new Counter({
    name: 'harness_database_losses_total',
    help: 'Times that the database was found away.',
    registers,
  });
  const spoolDamages = new Counter({
    name: 'harness_spool_damaged_files_total',
    help: 'Files of spooled events that were found damaged and are kept aside.',
    registers,
  });
  const spoolFailures = new Counter({
    name: 'harness_spool_failures_total',
    help: 'Writes of events to disk that failed, so that the events were refused.',
    registers,
  });
  const missingVectors = new Counter({
    name: 'harness_ads_without_vector_total',
    help: 'Ads taken into the live state without a vector, because none could be had.',
    registers,
  });

  return {
    observeRequest({ route, method, status, seconds }) {
      requests.inc({ route, method, status: String(status) });
      durations.observe({ route, method }, seconds);
    },
    observeRetrieval({ totalMs, encodeMs, searchMs }) {
      retrieval.observe({ part: 'total' }, totalMs / 1000);
      retrieval.observe({ part: 'encode' }, encodeMs / 1000);
      retrieval.observe({ part: 'search' }, searchMs / 1000);
    },
    observeEvents({ stored, duplicates, rejected, spooled = 0 }) {
      events.inc({ outcome: 'stored' }, stored);
      events.inc({ outcome: 'duplicate' }, duplicates);
      events.inc({ outcome: 'rejected' }, rejected.length);
      events.inc({ outcome: 'spooled' }, spooled);
    },
    countImpressions(byRung) {
      for (const [rung, count] of byRung) impressions.inc({ rung }, count);
    },
    countRefusedBatch: () => refusedBatches.inc(),
    countRefusedGroup: () => refusedGroups.inc(),
    countDatabaseLoss: () => databaseLosses.inc(),
    countSpoolDamage: () => spoolDamages.inc(),
    countSpoolFailure: () => spoolFailures.inc(),
    countMissingVectors: (ads) => missingVectors.inc(ads),
    device(read) {
      new Gauge({
        name: 'harness_encoder_device',
        help: 'The device that encodes and in what precision, and the device asked for.',
        labelNames: ['requested', 'provider', 'precision'],
        registers,
        collect() {
          const { requested, provider, precision } = read();
          this.reset();
          this.set({ requested, provider, precision }, 1);
        },
      });
    },
    gauge({ name, help, read }) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    counter({ name, help, read }) {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    },
    async render() {
      return { text: await registry.metrics(), contentType: registry.contentType };
    },
  };
}
