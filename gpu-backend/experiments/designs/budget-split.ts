/**
 * Budget-split experiments (Liu, Mao and Kang, "Trustworthy and powerful online marketplace experimentation with
 * budget-split design", KDD 2021): users are dealt to arms as ever, and every campaign's budget is dealt in the same shares.
 * An arm that spends faster then empties its own purse and not the other arm's, which in an ordinary split makes it look
 * better than it would be alone.
 */
import { HarnessError } from '../../../shared/problem.ts';
import { type ClusterPair, comparePairs, type PairedEffect } from './paired-clusters.ts';

/** A budget in whole micros for each arm, in the shares of the weights; they add up to the budget. */
export function splitBudget<A extends { key: string; weight: number }>(
  budgetMicros: number,
  arms: readonly A[],
): Map<string, number> {
  const total = arms.reduce((sum, { weight }) => sum + weight, 0);
  let [reached, dealt] = [0, 0];
  return new Map(
    arms.map(({ key, weight }) => {
      reached += weight;
      const upTo = Math.round((budgetMicros * reached) / total);
      const part = upTo - dealt;
      dealt = upTo;
      return [key, part];
    }),
  );
}

/** What a campaign came to among each arm's users. */
export interface CampaignOutcome {
  campaignId: string;
  control: number;
  treatment: number;
}

export interface BudgetSplitOptions {
  /** Shares of users and budgets. */
  shares: { control: number; treatment: number };
  confidence: number;
}

/** Effect a campaign, had each arm had all users and the whole budget. The cluster is the campaign. */
export function analyseBudgetSplit(
  campaigns: readonly CampaignOutcome[],
  { shares, confidence }: BudgetSplitOptions,
): PairedEffect | undefined {
  if (!(shares.control > 0 && shares.treatment > 0))
    throw new HarnessError(
      'bad_request',
      `shares: expected two above 0, got ${shares.control} and ${shares.treatment}.`,
    );
  const pairs = campaigns.map(
    ({ control, treatment }): ClusterPair => ({
      control: Math.round(control / shares.control),
      treatment: Math.round(treatment / shares.treatment),
    }),
  );
  return comparePairs(pairs, confidence);
}
