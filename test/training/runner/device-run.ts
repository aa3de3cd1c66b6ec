/**
 * Trains the small alignment case on a device and on the CPU and prints what each computed, as JSON. A program of its own, because a
 * graphics driver is found through the environment that a process starts with: `node device-run.ts webgpu`.
 */
import { CpuRunner } from '../../../training/runner/cpu.ts';
import { type Device, openRunner, type Runner } from '../../../training/runner/runner.ts';
import { alignmentCase, largestDifference } from './alignment-case.ts';

/** What this program prints. */
export interface DeviceRun {
  /** The device that ran, and all lines that told of a change. */
  readonly device: Device;
  readonly said: readonly string[];
  readonly losses: readonly number[];
  readonly cpuLosses: readonly number[];
  /** Between the two states, after three and after all steps. */
  readonly differences: readonly number[];
}

const { compiled, batches } = await alignmentCase();
const said: string[] = [];
const asked = await openRunner(compiled, {
  device: process.argv[2] as Device,
  threads: 1,
  stepsPerCall: 4,
  say: (line) => said.push(line),
});
const cpu = await CpuRunner.open(compiled, { threads: 1 });
// Three lengths, each twice: a driver in software spends its time on compiling a program a shape.
const run = async (runner: Runner, start: number) =>
  (await runner.runAll(batches.slice(start, start + 3))).map(({ loss }) => loss);
const [losses, cpuLosses, differences]: number[][] = [[], [], []];
for (const start of [0, 5]) {
  losses!.push(...(await run(asked, start)));
  cpuLosses!.push(...(await run(cpu, start)));
  differences!.push(largestDifference(await asked.state(), await cpu.state()));
}
const result = { device: asked.device, said, losses, cpuLosses, differences };
await asked.close();
await cpu.close();
console.log(JSON.stringify(result));
