/**
 * Where relevance ends, and which queries need vectors: the cut-off by a map that reads the query against a fixed threshold on
 * the cosine, as curves of precision over recall, and the gate before vectors. Fitted on validation queries, judged on test queries.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { GATE } from '../gpu-backend/retrieval/gate.ts';
import { Manifest } from '../shared/bundle.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { considered } from './relevance/considered.ts';
import { precisionRecallSvg } from './relevance/curve-svg.ts';
import { byAdapter, byRelevance, cutOffCurves, highestCutOff } from './relevance/cut-off.ts';
import { fitGate, gateOutcome, highestGate } from './relevance/gate.ts';
import { type Bench, bounded, type Row } from './row.ts';

const BUNDLE = 'models/default';
const PICTURE = 'bench/results/relevance.svg';
/** Of P@10, on validation queries, for the gate to be worth having. */
const KEEP = 0.995;

export const relevance: Bench = async ({ quick, say }) => {
  const asked = await considered({ bundleDir: BUNDLE, every: quick ? 8 : 1, say });
  const { calibration, cosineAdapter } = Manifest.parse(JSON.parse(readFileSync(`${BUNDLE}/manifest.json`, 'utf8')));
  if (cosineAdapter === undefined)
    throw new HarnessError(
      'configuration',
      `${BUNDLE}: expected a cosine adapter; npm run recipe -- calibrate fits one.`,
    );
  const curves = cutOffCurves(asked, { calibration, cosineAdapter });
  const rows: Row[] = curves.flatMap(({ score, averagePrecision, recallAt80, p10 }) => [
    { metric: `cut-off by ${score}: area under precision and recall`, value: averagePrecision, unit: 'area' },
    { metric: `cut-off by ${score}: recall at 80 % precision`, value: recallAt80, unit: 'share' },
    { metric: `order by ${score}: P@10`, value: p10, unit: 'mean' },
  ]);
  const areaOf = (name: string) => curves.find(({ score }) => score === name)!.averagePrecision;
  rows.push(
    bounded(
      'area of the served map over that of a fixed cosine',
      areaOf('served map') / areaOf('fixed cosine'),
      'ratio',
      ['>=', 1],
    ),
  );

  const { minRelevance } = DEFAULT_CONFIG.plan;
  const { recall } = byRelevance(asked.validation, { calibration, minRelevance });
  const adapterCutOff = highestCutOff(asked.validation, { cosineAdapter, recall });
  const [relevant, adapted] = [
    byRelevance(asked.test, { calibration, minRelevance }),
    byAdapter(asked.test, { cosineAdapter, adapterCutOff }),
  ];
  rows.push(
    {
      metric: `adapterCutOff of the recall of minRelevance ${minRelevance}, validation`,
      value: adapterCutOff,
      unit: 'probability',
    },
    {
      metric: 'precision and recall of minRelevance, test',
      value: relevant.precision,
      unit: `recall ${relevant.recall.toFixed(3)}`,
    },
    {
      metric: 'precision and recall of adapterCutOff, test',
      value: adapted.precision,
      unit: `recall ${adapted.recall.toFixed(3)}`,
    },
    bounded(
      'precision of adapterCutOff over that of minRelevance, test',
      adapted.precision / relevant.precision,
      'ratio',
      ['>=', 1],
    ),
  );

  const fitted = fitGate(asked.validation);
  const { denseGate } = highestGate(asked.validation, { map: GATE, keep: KEEP });
  const outcome = gateOutcome(asked.test, { map: GATE, denseGate });
  rows.push(
    { metric: `gate that keeps ${KEEP * 100} % of P@10 on validation`, value: denseGate, unit: 'probability' },
    { metric: 'queries spared their vector, test', value: outcome.spared, unit: 'share' },
    { metric: 'ads not considered, test', value: outcome.candidatesSaved, unit: 'share' },
    bounded('P@10 kept, test', outcome.keptP10, 'share', ['>=', 0.99]),
  );
  if (!quick) {
    mkdirSync('bench/results', { recursive: true });
    writeFileSync(PICTURE, precisionRecallSvg(curves));
  }
  const gates = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7].map((gate) =>
    gateOutcome(asked.test, { map: GATE, denseGate: gate }),
  );
  return {
    rows,
    detail: {
      curves,
      cutOff: { minRelevance: relevant, adapterCutOff: adapted },
      gate: { fitted, served: GATE, outcome, gates },
    },
  };
};
