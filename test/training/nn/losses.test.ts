/** The contrastive loss and its gradients against PyTorch (bench/peers/losses.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { backward } from '../../../training/graph/backward.ts';
import { Graph } from '../../../training/graph/graph.ts';
import { contrastive, initialLogitScale, LOGIT_SCALE, learntTemperature } from '../../../training/nn/losses.ts';
import { GOLDEN } from '../golden.ts';
import { expectClose, run } from './run.ts';

const golden = JSON.parse(readFileSync(join(GOLDEN, 'losses.json'), 'utf8')).contrastive;
const { batch, documents, dim } = golden as { batch: number; documents: number; dim: number };

interface Case {
  readonly name: string;
  readonly options: { temperature: number; falseNegativeMargin: number; sameTower: boolean; symmetric: boolean };
  readonly loss: number;
  readonly gradients: { queries: number[]; documents: number[]; logitScale: number };
}

describe('contrastive', () => {
  it.each(golden.cases as Case[])('$name', async ({ options, loss, gradients }) => {
    const feeds = {
      queries: { shape: [batch, dim], data: golden.queryVectors },
      documents: { shape: [documents, dim], data: golden.documentVectors },
      bias: { shape: [batch, documents], data: golden.bias },
      [LOGIT_SCALE]: { shape: [], data: [...initialLogitScale(options.temperature).data] as number[] },
    };
    const build = (temperature: 'fixed' | 'learnt') => {
      const g = new Graph();
      const inputs = {
        queries: g.input('queries', 'float32', [batch, dim]),
        documents: g.input('documents', 'float32', [documents, dim]),
        bias: g.input('bias', 'float32', [batch, documents]),
      };
      const scalar = temperature === 'learnt' ? learntTemperature(g) : options.temperature;
      return { g, inputs, value: contrastive(g, inputs, { ...options, temperature: scalar }) };
    };

    const learnt = build('learnt');
    const wrt = [learnt.inputs.queries, learnt.inputs.documents, learnt.g.parameter(LOGIT_SCALE, [])];
    const [dQueries, dDocuments, dScale] = backward(learnt.g, learnt.value, wrt);
    const results = await run(
      learnt.g,
      { loss: learnt.value, dQueries: dQueries!, dDocuments: dDocuments!, dScale: dScale! },
      feeds,
    );
    expectClose(results.loss!, [loss], 1e-4);
    expectClose(results.dQueries!, gradients.queries, 1e-3);
    expectClose(results.dDocuments!, gradients.documents, 1e-3);
    expectClose(results.dScale!, [gradients.logitScale], 1e-3);

    const fixed = build('fixed');
    expectClose((await run(fixed.g, { loss: fixed.value }, feeds)).loss!, [loss], 1e-4);
  });
});
