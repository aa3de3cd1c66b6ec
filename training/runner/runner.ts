/**
 * What runs a compiled training step and holds its state between steps: one interface, one implementation per device. A
 * device that is asked for and cannot start is replaced by the CPU, and this is reported.
 */
import type { TensorData } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import { CpuRunner } from './cpu.ts';
import { ScanRunner } from './scan.ts';
import type { CompiledStep, Report } from './step.ts';
import { WebGpuRunner } from './webgpu.ts';

export const DEVICES = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];

/** One step's inputs, by the names that the step's graph gives them. */
export type StepInputs = ReadonlyMap<string, TensorData>;

/** What the training loop asks of whatever runs its steps. */
export interface StepRunner<Inputs> {
  /** How many steps a call should be given for the device to be used well. */
  readonly stepsPerCall: number;
  /** One step. @throws HarnessError where the loss is no longer a number. */
  run(inputs: Inputs): Promise<Report>;
  /** Steps in their order, a report each; any number will do. @throws HarnessError as `run`. */
  runAll(steps: readonly Inputs[]): Promise<readonly Report[]>;
  /** The state as it stands, parameters and optimizer state by name, on the host; not to be written to. */
  state(): Promise<Map<string, TensorData>>;
  close(): Promise<void>;
}

/** Runs a compiled step. */
export interface Runner extends StepRunner<StepInputs> {
  readonly device: Device;
}

export interface RunnerOptions {
  /** Default `cpu`. */
  readonly device?: Device | undefined;
  /** Where to start; default the compiled step's initial state. */
  readonly state?: Weights | undefined;
  /** CPU threads; 0 (default) takes one a core. */
  readonly threads?: number | undefined;
  /**
   * Steps per call, where a call costs more than its steps: on CUDA (default 16) the state crosses the bus once per
   * call, on the CPU (default 1) it is copied once per call. Batches of one call are padded to the same length. WebGPU
   * has no such call.
   */
  readonly stepsPerCall?: number | undefined;
  /** Told, in one line, when the device asked for cannot start. Default: the console's error stream. */
  readonly say?: ((line: string) => void) | undefined;
}

const CUDA_STEPS_PER_CALL = 16;

/** A runner on the device asked for, or on the CPU where that cannot start; `device` of the result tells which. */
export async function openRunner(step: CompiledStep, options: RunnerOptions = {}): Promise<Runner> {
  const { device = 'cpu', stepsPerCall, say = console.error, state, threads = 0 } = options;
  const start = state ? { state, threads } : { threads };
  // ONNX Runtime throws where a provider cannot start, even with the CPU listed behind it.
  try {
    if (device === 'webgpu') return await WebGpuRunner.open(step, start);
    if (device === 'cuda')
      return await ScanRunner.open(step, { ...start, device, stepsPerCall: stepsPerCall ?? CUDA_STEPS_PER_CALL });
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!;
    say(`training runs on the CPU: ${device} was asked for and cannot start (${reason}).`);
  }
  if (stepsPerCall !== undefined && stepsPerCall > 1) return ScanRunner.open(step, { ...start, stepsPerCall });
  return CpuRunner.open(step, start);
}
