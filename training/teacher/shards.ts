/** The tensors of a checkpoint folder: one `model.safetensors`, or the shards that `model.safetensors.index.json` names. */
import { join } from 'node:path';
import { z } from 'zod';
import { sha256Hex } from '../../shared/digest.ts';
import { readSafetensors, type SafeTensor } from '../../shared/safetensors.ts';
import { missing, optionalFile, optionalText, parsed, requiredFile } from './files.ts';

/** File of all weights. */
export const WEIGHTS = 'model.safetensors';
/** File that names the shards where weights are in several. */
export const SHARD_INDEX = 'model.safetensors.index.json';

/** File names without a folder: an index names its neighbours only. */
const Index = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[\w.-]+\.safetensors$/)) });

/** The shards that an index names, each once, in the order of their names. @throws HarnessError where it is no index. */
export function shardNames(indexJson: string, where: string): string[] {
  return [...new Set(Object.values(parsed(Index, indexJson, where).weight_map))].sort();
}

export interface CheckpointTensors {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  /** Hex SHA-256 of each file read. */
  readonly digests: readonly string[];
}

/** Reads the weights, in one file or in shards. @throws HarnessError naming the file that is missing or damaged. */
export async function readCheckpointTensors(folder: string): Promise<CheckpointTensors> {
  const whole = await optionalFile(join(folder, WEIGHTS));
  if (whole)
    return { tensors: readSafetensors(whole, join(folder, WEIGHTS)).tensors, digests: [await sha256Hex(whole)] };
  const index = await optionalText(join(folder, SHARD_INDEX));
  if (index === undefined) throw missing(folder, WEIGHTS);
  const tensors = new Map<string, SafeTensor>();
  const digests: string[] = [];
  for (const file of shardNames(index, join(folder, SHARD_INDEX))) {
    const bytes = await requiredFile(folder, file);
    for (const [name, tensor] of readSafetensors(bytes, join(folder, file)).tensors) tensors.set(name, tensor);
    digests.push(await sha256Hex(bytes));
  }
  return { tensors, digests };
}
