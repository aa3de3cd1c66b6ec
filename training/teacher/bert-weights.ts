/** The parameters of a BERT checkpoint; token type 0 is folded into the position table, since single texts have no other type. */
import type { SafeTensor } from '../../shared/safetensors.ts';
import { BERT, type BertConfig } from '../nn/bert.ts';
import type { TensorData } from '../onnx/model.ts';
import { ParameterReader } from './parameters.ts';

/** @throws HarnessError naming a missing or misshapen tensor. */
export function bertWeights(
  tensors: ReadonlyMap<string, SafeTensor>,
  config: BertConfig,
  where: string,
): Map<string, TensorData> {
  const prefix = tensors.has(`bert.${BERT.wordTable}`) ? 'bert.' : '';
  const reader = new ParameterReader(tensors, { prefix, where });
  const { hidden_size: hidden, intermediate_size: inner } = config;
  const dense = (name: string, [inputs, outputs]: readonly [number, number]) => {
    reader.product(name, [inputs, outputs]);
    reader.keep(`${name}.bias`, [outputs]);
  };
  const norm = (name: string) => {
    reader.keep(`${name}.weight`, [hidden]);
    reader.keep(`${name}.bias`, [hidden]);
  };

  reader.keep(BERT.wordTable, [config.vocab_size, hidden]);
  const types = reader.read('embeddings.token_type_embeddings.weight', [config.type_vocab_size, hidden]);
  const places = [config.max_position_embeddings, hidden];
  const positions = reader.read(BERT.positionTable, places).map((value, i) => value + types[i % hidden]!);
  reader.set(BERT.positionTable, places, positions);
  norm('embeddings.LayerNorm');
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = BERT.layerPrefix(layer);
    for (const name of ['query', 'key', 'value']) dense(`${at}attention.self.${name}`, [hidden, hidden]);
    dense(`${at}attention.output.dense`, [hidden, hidden]);
    norm(`${at}attention.output.LayerNorm`);
    dense(`${at}intermediate.dense`, [hidden, inner]);
    dense(`${at}output.dense`, [inner, hidden]);
    norm(`${at}output.LayerNorm`);
  }
  return reader.parameters;
}
