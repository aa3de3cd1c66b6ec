/** What traffic was sent: counted exactly, in all and by arm, so that it can be compared with the experiment's report. */
import type { AdsResponse } from '../shared/contract/query-route.ts';
import { armIn } from './visits.ts';

/** What was sent in one arm, or in all. */
export interface TrafficCounts {
  /** Answers with status 200: each is one stored impression. */
  answers: number;
  /** Ads in those answers. */
  adsShown: number;
  /** Of them, ads with a grade that counts as relevant; 0 where that is not known. */
  relevantShown: number;
  clicks: number;
  conversions: number;
  conversionValueMicros: number;
}

export interface TrafficSummary extends TrafficCounts {
  readonly experiment: string;
  readonly requests: number;
  /** Answers to crawlers that say so; like the report, all other counts leave them out. */
  readonly crawled: number;
  /** Requests that got another answer than 200, by status; 0 means that none came. */
  readonly refused: Readonly<Record<string, number>>;
  /** Clicks that the edge did not redirect, and conversions that it did not accept. */
  readonly refusedClicks: number;
  readonly refusedConversions: number;
  /** Purchases that were still to come when the traffic ended. */
  readonly unreported: number;
  /** People who searched. */
  readonly users: number;
  /** Counts by arm; `-` holds answers outside the experiment. */
  readonly arms: Readonly<Record<string, TrafficCounts>>;
  readonly seconds: number;
}

/** Counts into one arm and the whole. */
export interface ArmTally {
  shown(relevant: boolean): void;
  clicked(): void;
  converted(valueMicros: number): void;
}

/** Counts as the traffic goes. */
export interface Tally {
  answered(answer: AdsResponse): ArmTally;
  crawled(): void;
  refuse(status: number): void;
  refuseClick(): void;
  refuseConversion(): void;
  summary(more: Pick<TrafficSummary, 'requests' | 'users' | 'seconds' | 'unreported'>): TrafficSummary;
}

const emptyCounts = (): TrafficCounts => ({
  answers: 0,
  adsShown: 0,
  relevantShown: 0,
  clicks: 0,
  conversions: 0,
  conversionValueMicros: 0,
});

/** An empty tally that tells the arms of one experiment apart. */
export function createTally(experiment: string): Tally {
  const all = emptyCounts();
  const arms: Record<string, TrafficCounts> = {};
  const refused: Record<string, number> = {};
  let crawled = 0;
  let refusedClicks = 0;
  let refusedConversions = 0;
  return {
    answered(answer) {
      const arm = armIn(answer, experiment) ?? '-';
      arms[arm] ??= emptyCounts();
      const both = [all, arms[arm]];
      for (const counts of both) counts.answers++;
      return {
        shown(relevant) {
          for (const counts of both) {
            counts.adsShown++;
            if (relevant) counts.relevantShown++;
          }
        },
        clicked() {
          for (const counts of both) counts.clicks++;
        },
        converted(valueMicros) {
          for (const counts of both) {
            counts.conversions++;
            counts.conversionValueMicros += valueMicros;
          }
        },
      };
    },
    crawled() {
      crawled++;
    },
    refuse(status) {
      refused[status] = (refused[status] ?? 0) + 1;
    },
    refuseClick() {
      refusedClicks++;
    },
    refuseConversion() {
      refusedConversions++;
    },
    summary: (more) => ({ experiment, ...more, ...all, crawled, refused, refusedClicks, refusedConversions, arms }),
  };
}
