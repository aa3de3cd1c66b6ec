/**
 * Runs a compiled training step several times per call: the step's graph as the body of an ONNX Scan, with the state as
 * its loop state and the batches stacked, [steps, ...] each. For CUDA, where ONNX Runtime for Node keeps no tensor on
 * the device: the state crosses the bus once per call instead of once per step. It runs on the CPU too. Operator:
 * https://onnx.ai/onnx/operators/onnx__Scan.html
 */
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { HarnessError } from '../../shared/problem.ts';
import { reachable } from '../graph/graph.ts';
import { emitGraph } from '../onnx/emit.ts';
import { encodeModel, graphProto, nodeProto, type TensorData, type TypedArray, valueInfo } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import type { Device, Runner, StepInputs } from './runner.ts';
import { type CompiledStep, nextName, REPORTS, type Report } from './step.ts';
import { fromTensor, readReports, toTensor } from './tensors.ts';

/** Names outside the body; within a model each name stands for one value. */
const before = (name: string) => `before.${name}`;
const after = (name: string) => `after.${name}`;
const stacked = (name: string) => `stacked.${name}`;
const STEPS = 'steps';

/** The ONNX bytes of a model that makes as many steps as its inputs are stacked high. */
function scanModel({ graph, initialState, frozen }: CompiledStep): Uint8Array<ArrayBuffer> {
  const body = emitGraph(graph, { name: 'training step', initializers: frozen });
  const state = [...initialState.keys()];
  const batch = reachable(graph).filter((node) => node.op === 'input');
  const batchNames = batch.map(({ attributes }) => attributes.name);
  // Scan tells its operands by their order: loop state first, then what is sliced; the body's own likewise.
  const inOrder = <V extends { name?: string | null }>(values: readonly V[], names: readonly string[]) =>
    names.map((name) => values.find((value) => value.name === name)!);
  body.input = inOrder(body.input, [...state, ...batchNames]);
  body.output = inOrder(body.output, [...state.map(nextName), ...REPORTS]);
  const scan = nodeProto({
    type: 'Scan',
    inputs: [...state.map(before), ...batchNames.map(stacked)],
    outputs: [...state.map(after), ...REPORTS.map(stacked)],
    attributes: { num_scan_inputs: batch.length, body: { graph: body } },
  });
  const states = [...initialState];
  return encodeModel(
    graphProto({
      name: 'training steps',
      nodes: [scan],
      inputs: [
        ...states.map(([name, { dtype, shape }]) => valueInfo(before(name), dtype, shape)),
        ...batch.map(({ attributes: { name, dtype, shape } }) => valueInfo(stacked(name), dtype, [STEPS, ...shape])),
      ],
      outputs: [
        ...states.map(([name, { dtype, shape }]) => valueInfo(after(name), dtype, shape)),
        ...REPORTS.map((name) => valueInfo(stacked(name), 'float32', [STEPS])),
      ],
      initializers: [],
    }),
  );
}

/** Writes `from`, of `shape`, into the corner of a zeroed array of shape `wide`, which begins at `offset` of `to`. */
function place(
  to: TypedArray,
  from: TypedArray,
  { shape, wide, offset }: { shape: readonly number[]; wide: readonly number[]; offset: number },
): void {
  const length = shape.at(-1) ?? 1;
  for (let row = 0; row * length < from.length; row++) {
    let [at, stride, index] = [offset, wide.at(-1) ?? 1, row];
    for (let axis = shape.length - 2; axis >= 0; axis--) {
      at += (index % shape[axis]!) * stride;
      index = Math.floor(index / shape[axis]!);
      stride *= wide[axis]!;
    }
    to.set(from.subarray(row * length, (row + 1) * length) as never, at);
  }
}

/**
 * One input of several steps as [steps, ...]. Steps differ in their number of tokens; the shorter ones are padded with zeros, which an
 * attention mask of zeros takes out again. @throws HarnessError where anything else differs.
 */
export function stack(name: string, steps: readonly TensorData[], symbols: readonly (string | number)[]): TensorData {
  const wide = symbols.map((_, axis) => Math.max(...steps.map(({ shape }) => shape[axis]!)));
  for (const { shape } of steps) {
    const axis = symbols.findIndex((dim, i) => shape[i] !== wide[i] && !/tokens$/i.test(String(dim)));
    if (axis !== -1)
      throw new HarnessError(
        'internal',
        `input ${name}: expected ${wide[axis]} along '${symbols[axis]}' in each step of a call, received ${shape[axis]}; only token axes can be padded.`,
      );
  }
  const size = wide.reduce((product, length) => product * length, 1);
  const { dtype, data } = steps[0]!;
  const all = new (data.constructor as new (length: number) => TypedArray)(steps.length * size);
  steps.forEach((step, i) => {
    place(all, step.data, { shape: step.shape, wide, offset: i * size });
  });
  return { dtype, shape: [steps.length, ...wide], data: all };
}

export interface ScanOptions {
  readonly device?: Extract<Device, 'cpu' | 'cuda'>;
  readonly state?: Weights;
  readonly threads?: number;
  readonly stepsPerCall?: number;
}

export class ScanRunner implements Runner {
  readonly device: Device;
  readonly stepsPerCall: number;
  readonly #session: InferenceSession;
  /** Shapes of the inputs of one step, as the graph declares them. */
  readonly #inputs: ReadonlyMap<string, readonly (string | number)[]>;
  #state: Map<string, Tensor>;

  private constructor(
    session: InferenceSession,
    { step, state, device, stepsPerCall }: { step: CompiledStep; state: Weights; device: Device; stepsPerCall: number },
  ) {
    this.#session = session;
    this.device = device;
    this.stepsPerCall = stepsPerCall;
    const inputs = reachable(step.graph).filter((node) => node.op === 'input');
    this.#inputs = new Map(inputs.map(({ attributes: { name, shape } }) => [name, shape]));
    this.#state = new Map([...state].map(([name, data]) => [name, toTensor(data)]));
  }

  /** @throws Error of ONNX Runtime where the device cannot start. */
  static async open(
    step: CompiledStep,
    { device = 'cpu', state = step.initialState, threads = 0, stepsPerCall = 1 }: ScanOptions = {},
  ): Promise<ScanRunner> {
    const session = await InferenceSession.create(scanModel(step), {
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
      intraOpNumThreads: threads,
      logSeverityLevel: 3,
    });
    return new ScanRunner(session, { step, state, device, stepsPerCall });
  }

  async run(inputs: StepInputs): Promise<Report> {
    return (await this.runAll([inputs]))[0]!;
  }

  /** All steps in one call, however many they are. */
  async runAll(steps: readonly StepInputs[]): Promise<Report[]> {
    const feeds: Record<string, Tensor> = {};
    for (const [name, tensor] of this.#state) feeds[before(name)] = tensor;
    for (const [name, shape] of this.#inputs) {
      const values = steps.map((inputs) => inputs.get(name)!);
      feeds[stacked(name)] = toTensor(stack(name, values, shape));
    }
    const results = await this.#session.run(feeds);
    const reports = readReports((name) => results[stacked(name)]!.data as Float32Array);
    this.#state = new Map([...this.#state.keys()].map((name) => [name, results[after(name)] as Tensor]));
    return reports;
  }

  async state(): Promise<Map<string, TensorData>> {
    return new Map([...this.#state].map(([name, tensor]) => [name, fromTensor(tensor)]));
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}
