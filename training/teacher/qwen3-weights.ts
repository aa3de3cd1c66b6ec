/** The parameters of a Qwen3 checkpoint, of the bare model or of the causal language model; a language-model head is left out. */
import type { SafeTensor } from '../../shared/safetensors.ts';
import { QWEN3, type Qwen3Config } from '../nn/qwen3.ts';
import type { TensorData } from '../onnx/model.ts';
import { ParameterReader } from './parameters.ts';

/** @throws HarnessError naming a missing or misshapen tensor. */
export function qwen3Weights(
  tensors: ReadonlyMap<string, SafeTensor>,
  config: Qwen3Config,
  where: string,
): Map<string, TensorData> {
  const prefix = tensors.has(`model.${QWEN3.wordTable}`) ? 'model.' : '';
  const reader = new ParameterReader(tensors, { prefix, where });
  const { hidden_size: hidden, intermediate_size: inner, head_dim: width } = config;
  const [heads, groups] = [config.num_attention_heads * width, config.num_key_value_heads * width];
  const norm = (name: string, size: number) => reader.keep(`${name}.weight`, [size]);

  reader.keep(QWEN3.wordTable, [config.vocab_size, hidden]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = QWEN3.layerPrefix(layer);
    norm(`${at}input_layernorm`, hidden);
    reader.product(`${at}self_attn.q_proj`, [hidden, heads]);
    reader.product(`${at}self_attn.k_proj`, [hidden, groups]);
    reader.product(`${at}self_attn.v_proj`, [hidden, groups]);
    reader.product(`${at}self_attn.o_proj`, [heads, hidden]);
    norm(`${at}self_attn.q_norm`, width);
    norm(`${at}self_attn.k_norm`, width);
    norm(`${at}post_attention_layernorm`, hidden);
    reader.product(`${at}mlp.gate_proj`, [hidden, inner]);
    reader.product(`${at}mlp.up_proj`, [hidden, inner]);
    reader.product(`${at}mlp.down_proj`, [inner, hidden]);
  }
  norm('norm', hidden);
  return reader.parameters;
}
