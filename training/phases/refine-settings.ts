/** Settings of refinement, as a configuration says them. */
import type { Noise } from '../data/noise.ts';
import type { OptimizerSettings } from '../nn/optimizers/settings.ts';

/** What refinement is set by, beside its optimizer. */
export interface RefinementSettings {
  /** Updates. */
  readonly steps: number;
  /** Clicked pairs a batch. */
  readonly batch: number;
  /** Updates between checkpoints: what a killed run repeats at most. */
  readonly checkpointEvery: number;
  /** Logits are cosines divided by it. */
  readonly temperature: number;
  /** An ad that beats the clicked one by more than this cosine is taken for a missed positive. */
  readonly falseNegativeMargin: number;
  readonly negatives: {
    /** Negatives are drawn from this many of the best ads below the cap. */
    readonly depth: number;
    /** Share of the clicked ad's cosine above which an ad is taken for a positive that was never shown. */
    readonly cap: number;
    /** Hard negatives a query. */
    readonly perQuery: number;
    /**
     * Updates after which negatives, and clusters, are found again with the student as it then is; 0 finds them once,
     * before the first.
     */
    readonly refreshEvery: number;
  };
  /** Whether the word table is trained too; default not. */
  readonly trainWords?: boolean | undefined;
  /**
   * Weight of the divergence from what the teacher, with its real inputs, would choose among the batch's ads; default 0, without. Clicks say
   * which ad was attractive; the teacher says how well each fits.
   */
  readonly distillation?: number | undefined;
  /** Noise in what the queries are shown as; default none. */
  readonly noise?: Noise | undefined;
  /**
   * General text that each batch is aligned to beside its queries, by squared L2 as in phase 2, so that the student keeps what nobody
   * clicked on; default none.
   */
  readonly replay?: { readonly texts: number; readonly weight: number } | undefined;
  /** Queries a cluster, where batches are unions of clusters of near queries: a divisor of `batch`. 0 batches at random. */
  readonly clusters: number;
  readonly coClicks: {
    /** Weight of the term that draws queries together that share clicked ads; 0 leaves it out, above it doubles the queries a step encodes. */
    readonly weight: number;
    /** Queries remembered of an ad, at most. */
    readonly perAd: number;
  };
}

export type RefineSettings = RefinementSettings & OptimizerSettings;
