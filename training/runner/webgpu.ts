/**
 * Runs a compiled training step on WebGPU, with the state kept on the device: a step's state outputs stay in GPU buffers and are the
 * next step's inputs; only the batch goes up and the reports come down.
 */
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { encodeModel, graphProto, nodeProto, type TensorData, valueInfo } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import type { Runner, StepInputs } from './runner.ts';
import { type CompiledStep, nextName, REPORTS, type Report } from './step.ts';
import { fromTensor, readReports, toTensor } from './tensors.ts';

const PROVIDERS = ['webgpu', 'cpu'];

/** A model that hands its inputs on: a session over it without a preferred location brings tensors from the device to the host. */
function identityModel(state: Weights): Uint8Array<ArrayBuffer> {
  const tensors = [...state];
  return encodeModel(
    graphProto({
      name: 'download',
      nodes: tensors.map(([name]) => nodeProto({ type: 'Identity', inputs: [name], outputs: [nextName(name)] })),
      inputs: tensors.map(([name, { dtype, shape }]) => valueInfo(name, dtype, shape)),
      outputs: tensors.map(([name, { dtype, shape }]) => valueInfo(nextName(name), dtype, shape)),
      initializers: [],
    }),
  );
}

export class WebGpuRunner implements Runner {
  readonly device = 'webgpu';
  readonly stepsPerCall = 1;
  readonly #session: InferenceSession;
  readonly #download: InferenceSession;
  #state: Map<string, Tensor>;

  private constructor(sessions: { step: InferenceSession; download: InferenceSession }, state: Weights) {
    this.#session = sessions.step;
    this.#download = sessions.download;
    this.#state = new Map([...state].map(([name, data]) => [name, toTensor(data)]));
  }

  /** @throws Error of ONNX Runtime where there is no device. */
  static async open(
    step: CompiledStep,
    { state = step.initialState, threads = 0 }: { state?: Weights; threads?: number } = {},
  ): Promise<WebGpuRunner> {
    const options = { executionProviders: PROVIDERS, intraOpNumThreads: threads, logSeverityLevel: 3 } as const;
    const preferredOutputLocation = Object.fromEntries([
      ...[...state.keys()].map((name) => [nextName(name), 'gpu-buffer'] as const),
      ...REPORTS.map((name) => [name, 'cpu'] as const),
    ]);
    const session = await InferenceSession.create(step.model, { ...options, preferredOutputLocation });
    return new WebGpuRunner(
      { step: session, download: await InferenceSession.create(identityModel(state), options) },
      state,
    );
  }

  async run(inputs: StepInputs): Promise<Report> {
    const feeds: Record<string, Tensor> = Object.fromEntries(this.#state);
    for (const [name, data] of inputs) feeds[name] = toTensor(data);
    // Always all outputs: the runtime plans its buffers for the outputs of the first run.
    const results = await this.#session.run(feeds);
    const [report] = readReports((name) => results[name]!.data as Float32Array);
    const old = this.#state;
    this.#state = new Map([...old.keys()].map((name) => [name, results[nextName(name)] as Tensor]));
    for (const tensor of old.values()) if (tensor.location === 'gpu-buffer') tensor.dispose();
    return report!;
  }

  async runAll(steps: readonly StepInputs[]): Promise<Report[]> {
    const reports: Report[] = [];
    for (const inputs of steps) reports.push(await this.run(inputs));
    return reports;
  }

  async state(): Promise<Map<string, TensorData>> {
    // Not `getData()` of the tensors: it aborts the process in onnxruntime-node 1.30.
    const results = await this.#download.run(Object.fromEntries(this.#state));
    return new Map([...this.#state.keys()].map((name) => [name, fromTensor(results[nextName(name)] as Tensor)]));
  }

  async close(): Promise<void> {
    for (const tensor of this.#state.values()) if (tensor.location === 'gpu-buffer') tensor.dispose();
    await this.#session.release();
    await this.#download.release();
  }
}
