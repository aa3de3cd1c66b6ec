/** What the parts know of themselves, as metrics that are read when asked for. */
import type { Encoder } from '../encoder/encoder.ts';
import type { Live } from '../generations/live.ts';
import type { Rebuilder } from '../generations/rebuild.ts';
import type { RecallCanary } from '../retrieval/recall-canary.ts';
import type { Retrieval } from '../retrieval/retrieve.ts';
import type { ServingConfigSource } from '../serving-config/serving-config.ts';
import type { Metrics } from './metrics.ts';

export interface WatchedState {
  metrics: Metrics;
  encoder: Encoder;
  live: Live;
  retrieval: Pick<Retrieval, 'stats'>;
  canary: Pick<RecallCanary, 'stats'>;
  rebuilder: Pick<Rebuilder, 'stats'>;
  config: ServingConfigSource;
}

type Watched = [name: string, help: string, read: () => number];

export function watchState({ metrics, encoder, live, retrieval, canary, rebuilder, config }: WatchedState): void {
  const gauges: Watched[] = [
    ['encoder_queue', 'Texts waiting to be encoded.', () => encoder.stats().queued],
    ['encoder_running', 'Texts being encoded.', () => encoder.stats().running],
    ['encoder_cached_texts', 'Texts in the cache.', () => encoder.stats().cachedTexts],
    ['encoder_cached_bytes', 'Bytes of the cache.', () => encoder.stats().cachedBytes],
    ['generation', 'Number of the live generation, 0 before the first.', () => live.stats().generation ?? 0],
    [
      'generation_age_seconds',
      "Seconds since the live generation's snapshot; not a number before the first.",
      () => (live.view === undefined ? Number.NaN : (Date.now() - live.view.createdAtMs) / 1000),
    ],
    ['ads', 'Ads in the live view.', () => live.stats().ads],
    ['ads_delta', 'Ads that are new since the generation.', () => live.stats().delta],
    ['ads_vacant', 'Places that are searched although their ads have gone or moved.', () => live.view?.vacant ?? 0],
    [
      'rebuild_ended_seconds',
      'When the last generation that was built by itself ended, Unix time; not a number before the first.',
      () => rebuilder.stats().endedAtSeconds,
    ],
    ['recall_canary', 'Recall@10 of the index against exact search, on recent queries.', () => canary.stats().recall],
    ['config_version', 'Version of the serving configuration.', () => config.current().version],
    ['kill_list', 'Ads on the kill list.', () => config.current().killList.length],
  ];
  const counters: Watched[] = [
    ['encoder_encoded', 'Texts encoded.', () => encoder.stats().encoded],
    ['encoder_refused', 'Calls refused because the queue was full.', () => encoder.stats().refused],
    ['encoder_expired', 'Calls whose deadline passed before their turn, or would have.', () => encoder.stats().expired],
    ['encoder_cancelled', 'Calls whose caller went away before their turn.', () => encoder.stats().cancelled],
    ['encoder_batches', 'Batches run.', () => encoder.stats().batches],
    ['encoder_hits', 'Texts answered from the cache.', () => encoder.stats().hits],
    ['encoder_joined', 'Texts that another call had encoded at that moment.', () => encoder.stats().joined],
    ['encoder_fallbacks', 'Workers that started on another device than asked for.', () => encoder.stats().fallbacks],
    ['encoder_restarts', 'Workers that ended unexpectedly and were replaced.', () => encoder.stats().restarts],
    ['queries_student', "Queries searched with the student's vector.", () => retrieval.stats().student],
    ['queries_teacher', "Head queries searched with the teacher's own vector.", () => retrieval.stats().teacher],
    ['queries_gated', 'Queries that the gate kept from vectors.', () => retrieval.stats().gated],
    ['generation_swaps', 'Generations taken live.', () => live.stats().swaps],
    ['rebuilds_added', 'Generations built because many ads were new.', () => rebuilder.stats().added],
    ['rebuilds_gone', 'Generations built because many ads had gone.', () => rebuilder.stats().gone],
    ['rebuilds_damaged', 'Generations built because the live one was damaged.', () => rebuilder.stats().damaged],
    ['rebuilds_failed', 'Builds of these that failed or were refused.', () => rebuilder.stats().failures],
    ['recall_canary_queries', 'Queries that the recall was measured on.', () => canary.stats().queries],
  ];
  for (const [name, help, read] of gauges) metrics.gauge({ name: `harness_${name}`, help, read });
  for (const [name, help, read] of counters) metrics.counter({ name: `harness_${name}_total`, help, read });
}
