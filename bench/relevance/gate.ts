/** The gate before vectors (gpu-backend/retrieval/gate.ts): fitted on validation queries, and what it spares and costs on test queries. */
import {
  GATE_FEATURES,
  type GateEvidence,
  type GateMap,
  gateEvidence,
  gateProbability,
} from '../../gpu-backend/retrieval/gate.ts';
import { fitLogistic } from '../../training/evaluate/relevance.ts';
import type { AskedQuery } from './considered.ts';

const evidenceOf = ({ wordCoverages, terms }: AskedQuery): GateEvidence => gateEvidence(wordCoverages, terms);

/** Whether vectors made the first ten better. */
const gains = ({ wordsP10, bothP10 }: AskedQuery): boolean => bothP10 > wordsP10;

export const fitGate = (queries: readonly AskedQuery[]): GateMap =>
  fitLogistic(
    queries.map((query) => ({ ...evidenceOf(query), gains: gains(query) })),
    GATE_FEATURES,
    (query) => query.gains,
  );

export interface GateOutcome {
  denseGate: number;
  /** Share of queries that were answered without a vector. */
  spared: number;
  /** Mean P@10 as a share of what it is without the gate. */
  keptP10: number;
  /** Share of the considered ads that were never considered. */
  candidatesSaved: number;
}

export function gateOutcome(
  queries: readonly AskedQuery[],
  { map, denseGate }: { map: GateMap; denseGate: number },
): GateOutcome {
  let [spared, p10, all, considered, left] = [0, 0, 0, 0, 0];
  for (const query of queries) {
    const shut = gateProbability(evidenceOf(query), map) < denseGate;
    if (shut) spared++;
    p10 += shut ? query.wordsP10 : query.bothP10;
    all += query.bothP10;
    considered += query.pairs.length;
    left += shut ? query.wordCoverages.length : query.pairs.length;
  }
  return {
    denseGate,
    spared: spared / queries.length,
    keptP10: all === 0 ? 1 : p10 / all,
    candidatesSaved: considered === 0 ? 0 : 1 - left / considered,
  };
}

/** The highest gate of a grid that keeps so much of P@10. */
export function highestGate(
  queries: readonly AskedQuery[],
  { map, keep }: { map: GateMap; keep: number },
): GateOutcome {
  const outcomes = Array.from({ length: 99 }, (_, i) => gateOutcome(queries, { map, denseGate: (i + 1) / 100 }));
  return outcomes.findLast(({ keptP10 }) => keptP10 >= keep) ?? gateOutcome(queries, { map, denseGate: 0 });
}
