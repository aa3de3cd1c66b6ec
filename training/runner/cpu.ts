/** Runs a compiled training step on the CPU and holds the state between steps. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { HarnessError } from '../../shared/problem.ts';
import type { TensorData } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import { type CompiledStep, nextName, REPORTS, type Report } from './step.ts';

const toTensor = ({ dtype, shape, data }: TensorData): Tensor =>
  new Tensor(dtype as 'float32', data as Float32Array, shape);

export class CpuRunner {
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

  /** One step over a batch given by input name. @throws HarnessError where the loss is no longer a number. */
  async run(batch: ReadonlyMap<string, TensorData>): Promise<Report> {
    const feeds: Record<string, Tensor> = Object.fromEntries(this.#state);
    for (const [name, data] of batch) feeds[name] = toTensor(data);
    // Outputs are fresh buffers: feeding and fetching the same one would let the step overwrite what it still reads.
    const results = await this.#session.run(feeds);
    const report = Object.fromEntries(
      REPORTS.map((name) => [name, (results[name]!.data as Float32Array)[0]!]),
    ) as Report;
    if (!Number.isFinite(report.loss) || !Number.isFinite(report.gradientNorm))
      throw new HarnessError(
        'internal',
        `training diverged: loss ${report.loss}, gradient norm ${report.gradientNorm}; lower the learning rate.`,
      );
    this.#state = new Map([...this.#state.keys()].map((name) => [name, results[nextName(name)] as Tensor]));
    return report;
  }

  /** The state as it stands, parameters and moments; the arrays are not copied. */
  state(): Map<string, TensorData> {
    return new Map(
      [...this.#state].map(([name, tensor]) => [
        name,
        { dtype: 'float32', shape: tensor.dims, data: tensor.data as Float32Array },
      ]),
    );
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}
