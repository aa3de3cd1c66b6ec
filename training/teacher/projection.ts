/**
 * From a teacher's dimension to a student's: principal components (Pearson, 1901; Hotelling, 1933) of query and document vectors together.
 *
 * Taken about the origin, not about the mean: similarity is an inner product, and among all maps to `to` dimensions this one keeps the
 * vectors' inner products best (Eckart and Young, 1936).
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { HarnessError } from '../../shared/problem.ts';
import { Graph } from '../graph/graph.ts';
import { emitModel } from '../onnx/emit.ts';
import type { LinearMap } from './linear-map.ts';

export interface ProjectionOptions {
  /** Length of the vectors. */
  readonly from: number;
  readonly to: number;
  /** 0 takes one thread a core. */
  readonly threads?: number;
}

/** A projection, and how good it is. */
export interface FittedProjection {
  /** The same for queries and documents: orthonormal columns, the strongest component first. */
  readonly map: LinearMap;
  /** Share of the vectors' squared length that it keeps, 0 to 1. */
  readonly kept: number;
}

const ROWS_A_RUN = 8_192;

/**
 * Fits to a sample of vectors, float32 [rows, from], queries and documents in equal parts. Deterministic: of the two signs of a component
 * the one is taken that makes its largest entry positive. Time grows with the cube of `from`: 4 s of one core at 1,024.
 */
export async function fitProjection(
  sample: Float32Array,
  { from, to, threads = 0 }: ProjectionOptions,
): Promise<FittedProjection> {
  const rows = sample.length / from;
  if (to > from || rows < to)
    throw new HarnessError(
      'configuration',
      `projection from ${from} to ${to} dimensions: expected fewer dimensions and at least ${to} vectors, received ${rows}.`,
    );
  const moment = await secondMoment(sample, { from, threads });
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(Matrix.from1DArray(from, from, moment), {
    assumeSymmetric: true,
  });
  const order = [...realEigenvalues.keys()].sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const matrix = new Float32Array(from * to);
  for (let column = 0; column < to; column++) {
    const component = eigenvectorMatrix.getColumn(order[column]!);
    const largest = component.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    component.forEach((value, row) => {
      matrix[row * to + column] = largest < 0 ? -value : value;
    });
  }
  const energy = (components: readonly number[]) =>
    components.reduce((sum, component) => sum + realEigenvalues[component]!, 0);
  return {
    map: { name: `pca-${to}`, from, to, query: matrix, document: matrix },
    kept: energy(order.slice(0, to)) / energy(order),
  };
}

/** X'X of X [rows, from]; summed in double precision over blocks of rows. */
async function secondMoment(
  sample: Float32Array,
  { from, threads }: { from: number; threads: number },
): Promise<Float64Array> {
  const graph = new Graph();
  const input = graph.input('rows', 'float32', ['rows', from]);
  graph.output('moment', graph.matmul(input, input, { transA: true }));
  const model = emitModel(graph, { name: 'second moment', initializers: new Map() });
  const session = await InferenceSession.create(model, { intraOpNumThreads: threads, logSeverityLevel: 3 });
  const sum = new Float64Array(from * from);
  for (let start = 0; start < sample.length; start += ROWS_A_RUN * from) {
    const block = sample.subarray(start, start + ROWS_A_RUN * from);
    const { moment } = await session.run({ rows: new Tensor('float32', block, [block.length / from, from]) });
    const values = moment!.data as Float32Array;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
  }
  await session.release();
  return sum;
}
