/** Runs a compiled training step on the CPU and holds the state between steps. */
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import type { TensorData } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import type { Runner, StepInputs } from './runner.ts';
import { type CompiledStep, nextName, type Report } from './step.ts';
import { fromTensor, readReports, toTensor } from './tensors.ts';

export class CpuRunner implements Runner {
  readonly device = 'cpu';
  readonly stepsPerCall = 1;
  readonly #session: InferenceSession;
  #state: Map<string, Tensor>;

  private constructor(session: InferenceSession, state: Weights) {
    this.#session = session;
    this.#state = new Map([...state].map(([name, data]) => [name, toTensor(data)]));
  }

  /** @param state Where to start: the compiled step's initial state, or one that `state()` gave. */
  static async open(
    step: CompiledStep,
    { state = step.initialState, threads = 0 }: { state?: Weights; threads?: number } = {},
  ): Promise<CpuRunner> {
    const session = await InferenceSession.create(step.model, { intraOpNumThreads: threads, logSeverityLevel: 3 });
    return new CpuRunner(session, state);
  }

  async run(inputs: StepInputs): Promise<Report> {
    const feeds: Record<string, Tensor> = Object.fromEntries(this.#state);
    for (const [name, data] of inputs) feeds[name] = toTensor(data);
    // Outputs are fresh buffers: feeding and fetching the same one would let the step overwrite what it still reads.
    const results = await this.#session.run(feeds);
    const [report] = readReports((name) => results[name]!.data as Float32Array);
    this.#state = new Map([...this.#state.keys()].map((name) => [name, results[nextName(name)] as Tensor]));
    return report!;
  }

  async runAll(steps: readonly StepInputs[]): Promise<Report[]> {
    const reports: Report[] = [];
    for (const inputs of steps) reports.push(await this.run(inputs));
    return reports;
  }

  async state(): Promise<Map<string, TensorData>> {
    return new Map([...this.#state].map(([name, tensor]) => [name, fromTensor(tensor)]));
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}
