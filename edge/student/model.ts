/**
 * A student ready to run in the Worker: the very file that the backend runs, in one linear memory, where linear.wat reads
 * its weights in place. The rest of the graph is plain TypeScript (operators.ts).
 */
import { HarnessError } from '../../shared/problem.ts';
import { type Step, stepsOf } from './graph.ts';
import { type Linear, linearOver, type Memory, memoryOf, PAGE_BYTES } from './kernel.ts';
import { FLOAT, INT8, INT64, readOnnx, type StoredTensor } from './onnx.ts';
import { OPERATORS } from './operators.ts';
import { misfit, sizeOf, type Tensor } from './tensor.ts';

type Layer = Extract<Step, { kind: 'linear' }>;
/** Vectors of a layer are stored in pieces of 16 bytes. */
const aligned = (address: number) => Math.ceil(address / 16) * 16;

export interface ModelOptions {
  /** Bytes of `student.onnx`. */
  bytes: number;
  /** Longest text, in tokens. */
  maxTokens: number;
  /** linear.wasm, compiled. */
  kernel: object;
  /** Writes the file into the memory that it will be run from, whose first `bytes` it is given. */
  fill: (file: Uint8Array<ArrayBuffer>) => Promise<void>;
}

export class Model {
  readonly #steps: Step[];
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #memory: Memory;
  readonly #linear: Linear;
  readonly #maxTokens: number;
  /** Addresses behind the file: a layer's operand, its result, and zeros where it has no bias. */
  readonly #room: { x: number; out: number; zeros: number };

  /** Throws `bundle_damaged` for a file that cannot be run here, and what `fill` throws. */
  static async open({ bytes, fill, ...options }: ModelOptions): Promise<Model> {
    const memory = memoryOf(bytes);
    await fill(new Uint8Array(memory.buffer, 0, bytes));
    return new Model(memory, { bytes, ...options });
  }

  private constructor(memory: Memory, { bytes, maxTokens, kernel }: Omit<ModelOptions, 'fill'>) {
    const graph = readOnnx(new Uint8Array(memory.buffer, 0, bytes));
    this.#steps = stepsOf(graph);
    const layers = this.#steps.filter((step) => step.kind === 'linear').map(({ weight }) => weight.dims);
    const [k, n] = [0, 1].map((axis) => Math.max(0, ...layers.map((dims) => dims[axis]!)));
    const rows = maxTokens + (maxTokens & 1);
    const x = aligned(bytes);
    const out = aligned(x + rows * k! * 2);
    const zeros = out + rows * n! * 4;
    memory.grow(Math.ceil((zeros + n! * 4) / PAGE_BYTES) - memory.buffer.byteLength / PAGE_BYTES);
    this.#room = { x, out, zeros };
    this.#memory = memory;
    this.#maxTokens = maxTokens;
    // Views of the memory, which does not grow from here on.
    this.#constants = new Map(
      Array.from(graph.tensors, ([name, tensor]) => [name, constant(memory.buffer, name, tensor)]),
    );
    this.#linear = linearOver(memory, kernel);
  }

  /** Bytes of the linear memory: the file, and room for one layer. */
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** The vector of one text: 1 to `maxTokens` ids in, [dimension] float32 of length one out. */
  run(ids: readonly number[]): Float32Array {
    if (ids.length === 0 || ids.length > this.#maxTokens)
      throw new RangeError(`expected 1 to ${this.#maxTokens} tokens, got ${ids.length}`);
    const dims = [1, ids.length];
    const values = new Map<string, Tensor>([
      ['input_ids', { dims, data: Int32Array.from(ids) }],
      ['attention_mask', { dims, data: new Int32Array(ids.length).fill(1) }],
    ]);
    const named = (name: string): Tensor => {
      const value = values.get(name) ?? this.#constants.get(name);
      if (value === undefined) throw new HarnessError('bundle_damaged', `student.onnx: nothing makes ${name}.`);
      return value;
    };
    for (const step of this.#steps) {
      const inputs = step.inputs.map(named);
      const made =
        step.kind === 'linear' ? [this.#layer(step, inputs)] : OPERATORS[step.node.op]!(inputs, step.node.attributes);
      for (const [i, name] of step.outputs.entries()) if (made[i] !== undefined) values.set(name, made[i]);
      for (const name of step.done) values.delete(name);
    }
    return named('embedding').data as Float32Array;
  }

  #layer({ weight, scale, bias }: Layer, [bytes, zero, xScale]: readonly Tensor[]): Tensor<Float32Array> {
    const [k = 0, n = 0] = weight.dims;
    const { dims, data } = bytes!;
    if (dims.at(-1) !== k) throw misfit(`expected rows of ${k}`, bytes!);
    const rows = sizeOf(dims.slice(0, -1));
    const { buffer } = this.#memory;
    const { x, out, zeros } = this.#room;
    const operand = new Int16Array(buffer, x, rows * k);
    const offset = zero!.data[0]!;
    for (let i = 0; i < operand.length; i++) operand[i] = data[i]! - offset;
    this.#linear(x, xScale!.data[0]!, weight.offset, scale.offset, bias?.offset ?? zeros, out, rows, k, n);
    return { dims: [...dims.slice(0, -1), n], data: new Float32Array(buffer, out, rows * n).slice() };
  }
}

function constant(buffer: ArrayBuffer, name: string, { type, dims, offset, bytes }: StoredTensor): Tensor {
  if (type === INT8) return { dims, data: new Int8Array(buffer, offset, bytes) };
  // Copies: in the file they lie at any byte.
  const copy = buffer.slice(offset, offset + bytes);
  if (type === FLOAT) return { dims, data: new Float32Array(copy) };
  if (type === INT64) return { dims, data: Int32Array.from(new BigInt64Array(copy), Number) };
  throw new HarnessError(
    'bundle_damaged',
    `student.onnx: expected floats, bytes or integers in ${name}, got type ${type}.`,
  );
}
