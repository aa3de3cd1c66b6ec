/** Importance of feed-forward units against values worked out by hand, and what leaves with a unit, in both architectures. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { EncoderConfig } from '../../../training/nn/encoder.ts';
import { feedForward } from '../../../training/nn/encoder.ts';
import { initialWeights } from '../../../training/nn/initial.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { mostImportant } from '../../../training/phases/prune.ts';
import { pruneUnits, unitImportance } from '../../../training/phases/prune-units.ts';
import { type EncoderModel, floatModel, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { leastCosine, TINY } from '../golden.ts';

const TEXTS = ['red wool sock', 'shoe', 'a cheap leather belt for men'];
const UNITS = 6;

let bert: Checkpoint;
let qwen3: EncoderModel;
beforeAll(async () => {
  bert = await readCheckpoint(TINY);
  const config: EncoderConfig = {
    model_type: 'qwen3',
    vocab_size: bert.config.vocab_size,
    hidden_size: 4,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 2,
    intermediate_size: UNITS,
    max_position_embeddings: 16,
    rms_norm_eps: 1e-12,
    rope_theta: 10_000,
    rope_scaling: null,
    hidden_act: 'silu',
    attention_bias: false,
    use_sliding_window: false,
    pad_token_id: 0,
  };
  const pooling = { mode: 'last', normalize: true } as const;
  qwen3 = { config, pooling, weights: initialWeights({ config, pooling }, 1) };
});

const filled = ({ shape, data }: TensorData, value: (i: number) => number): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: data.length }, (_, i) => value(i)),
});
function withWeights(model: EncoderModel, change: (name: string, tensor: TensorData) => TensorData): EncoderModel {
  const { config, pooling, weights } = model;
  return { config, pooling, weights: new Map([...weights].map(([name, tensor]) => [name, change(name, tensor)])) };
}
const importance = (model: EncoderModel) => unitImportance(model, { texts: TEXTS, tokenizer: bert.tokenizer });
async function vectors(model: EncoderModel, dimension: number): Promise<Float32Array> {
  const session = await TextEncoderSession.open(floatModel(model), {
    tokenizer: bert.tokenizer,
    dimension,
    threads: 1,
  });
  const result = await session.encode(TEXTS);
  await session.close();
  return result;
}

describe('unitImportance', () => {
  it('is the mean absolute activation over real tokens: BERT', async () => {
    // Without weights a unit's activation is gelu(bias), whatever the token.
    const biases = [0, 1, -1, 2, -0.5, 0.25];
    const model = withWeights(bert, (name, tensor) => {
      if (name.endsWith('intermediate.dense.weight')) return filled(tensor, () => 0);
      return name.endsWith('intermediate.dense.bias') ? filled(tensor, (i) => biases[i] ?? 3) : tensor;
    });
    const found = await importance(model);
    expect(found).toHaveLength(3);
    // |x Phi(x)| of the standard normal distribution.
    const expected = [0, 0.841345, 0.158655, 1.9545, 0.154269, 0.149677];
    for (const layer of found) {
      expected.forEach((value, unit) => {
        expect(layer[unit]).toBeCloseTo(value, 4);
      });
    }
  });

  it('is gate times up: Qwen3', async () => {
    // All states are 1 before the feed-forward part of the first layer, so that a column of value v sums to 4 v.
    const gates = [0, 0.25, -0.25, 0.5, 0.5, 0.5];
    const ups = [1, 0.25, 0.25, 0, 0.5, -0.5];
    const model = withWeights(qwen3, (name, tensor) => {
      if (name.endsWith('embed_tokens.weight')) return filled(tensor, () => 1);
      if (name.endsWith('o_proj.weight')) return filled(tensor, () => 0);
      if (name.endsWith('gate_proj.weight')) return filled(tensor, (i) => gates[i % UNITS]!);
      return name.endsWith('up_proj.weight') ? filled(tensor, (i) => ups[i % UNITS]!) : tensor;
    });
    const [first] = await importance(model);
    // |silu(4 gate) 4 up|, silu(x) = x / (1 + e^-x).
    [0, 0.731059, 0.268941, 0, 3.523188, 3.523188].forEach((value, unit) => {
      expect(first![unit]).toBeCloseTo(value, 4);
    });
  });
});

describe('pruneUnits', () => {
  it.each([['bert'], ['qwen3']])('changes nothing when what leaves never spoke: %s', async (family) => {
    const model = family === 'bert' ? bert : qwen3;
    const { num_hidden_layers: layers, intermediate_size: units, hidden_size: dimension } = model.config;
    const silent = (layer: number, unit: number) => unit % 2 === layer % 2;
    const quiet = withWeights(model, (name, tensor) => {
      const layer = [...Array(layers).keys()].find((i) => feedForward(model.config, i).into.includes(name));
      return layer === undefined
        ? tensor
        : filled(tensor, (i) => (silent(layer, i % units) ? 0 : Number(tensor.data[i]!)));
    });
    const kept = units / 2;
    const found = await importance(quiet);
    const keep = found.map((layer) => mostImportant(layer, kept));
    keep.forEach((numbers, layer) => {
      expect(numbers.some((unit) => silent(layer, unit))).toBe(false);
    });
    const small = pruneUnits(quiet, keep);
    expect(small.config.intermediate_size).toBe(kept);
    expect(leastCosine(await vectors(small, dimension), await vectors(quiet, dimension), dimension)).toBeGreaterThan(
      1 - 1e-6,
    );
  });

  it('takes columns on the way in and rows on the way out', () => {
    expect(() => pruneUnits(qwen3, [[0, 2], [1]])).toThrow('expected 2 lists of one length, ascending below 6');
    expect(() => pruneUnits(qwen3, [[0], [6]])).toThrow('expected 2 lists of one length, ascending below 6');
    const small = pruneUnits(qwen3, [
      [1, 4],
      [0, 5],
    ]);
    const { into, outOf } = feedForward(qwen3.config, 1);
    const [wide, narrow] = [qwen3.weights.get(into[0]!)!.data, small.weights.get(into[0]!)!];
    expect(narrow.shape).toEqual([4, 2]);
    expect([...narrow.data]).toEqual([0, 1, 2, 3].flatMap((row) => [wide[row * 6], wide[row * 6 + 5]]));
    const rows = qwen3.weights.get(outOf)!.data;
    expect([...small.weights.get(outOf)!.data]).toEqual([...rows.slice(0, 4), ...rows.slice(20, 24)]);
    expect(qwen3.weights.get(outOf)!.shape).toEqual([6, 4]);
  });
});
