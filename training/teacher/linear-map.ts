/**
 * A linear map of a teacher's vectors, y = normalize(x M), with a matrix for queries and one for documents: what a projection
 * (projection.ts) and a trained adapter (../phases/adapt.ts) come down to. On top of a teacher it makes another teacher.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import { Graph } from '../graph/graph.ts';
import { normalizeRows } from '../nn/layers.ts';
import { emitModel } from '../onnx/emit.ts';
import type { TensorData } from '../onnx/model.ts';
import type { Role, Teacher } from './teacher.ts';

/** The two matrices, and what they map between. */
export interface LinearMap {
  /** What a mapped teacher's name ends in, such as 'pca-384'. */
  readonly name: string;
  /** Length of the vectors that go in, and of those that come out. */
  readonly from: number;
  readonly to: number;
  /** Float32 [from, to]. */
  readonly query: Float32Array<ArrayBuffer>;
  readonly document: Float32Array<ArrayBuffer>;
}

/** Rows a run: bounds what is copied at a time. */
const ROWS_A_RUN = 8_192;

/** Vectors [rows, from] to [rows, to], rows of length 1. @param threads 0 takes one thread a core. */
export async function applyMap(
  map: LinearMap,
  vectors: Float32Array,
  { role, threads = 0 }: { role: Role; threads?: number },
): Promise<Float32Array<ArrayBuffer>> {
  const { from, to } = map;
  if (vectors.length % from !== 0) throw new Error(`expected rows of ${from} numbers, received ${vectors.length}`);
  const graph = new Graph();
  const product = graph.matmul(graph.input('vectors', 'float32', ['rows', from]), graph.parameter('map', [from, to]));
  graph.output('mapped', normalizeRows(graph, product));
  const model = emitModel(graph, { name: 'map', initializers: new Map([['map', tensor(map[role], [from, to])]]) });
  const session = await InferenceSession.create(model, { intraOpNumThreads: threads, logSeverityLevel: 3 });
  const rows = vectors.length / from;
  const result = new Float32Array(rows * to);
  for (let start = 0; start < rows; start += ROWS_A_RUN) {
    const block = vectors.subarray(start * from, (start + ROWS_A_RUN) * from);
    const { mapped } = await session.run({ vectors: new Tensor('float32', block, [block.length / from, from]) });
    result.set(mapped!.data as Float32Array, start * to);
  }
  await session.release();
  return result;
}

const tensor = (data: Float32Array<ArrayBuffer>, shape: readonly number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data,
});

/** Hex SHA-256 over everything that decides what the map makes of a vector. */
export async function mapDigest({ from, to, query, document }: LinearMap): Promise<string> {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>) =>
    sha256Hex(new Uint8Array(buffer, byteOffset, byteLength));
  return sha256Hex([from, to, await bytes(query), await bytes(document)].join('\n'));
}

/** The teacher with each of its vectors mapped. Closing it closes the teacher below. */
export async function mapped(
  teacher: Teacher,
  map: LinearMap,
  { threads = 0 }: { threads?: number } = {},
): Promise<Teacher> {
  if (teacher.dimension !== map.from)
    throw new HarnessError(
      'space_mismatch',
      `${map.name}: expected a teacher of ${map.from} dimensions, received ${teacher.name} with ${teacher.dimension}.`,
    );
  return {
    name: `${teacher.name}+${map.name}`,
    sha256: await sha256Hex(`${teacher.sha256}\n${await mapDigest(map)}`),
    dimension: map.to,
    license: teacher.license,
    source: teacher.source,
    async encode(texts, options) {
      return applyMap(map, await teacher.encode(texts, options), { role: options.role, threads });
    },
    close: () => teacher.close(),
  };
}
