/** Devices against the CPU: the same losses and the same state. Where a device is not there, its test is skipped and says why. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import type { DeviceRun } from './device-run.ts';
import { softwareVulkan } from './vulkan.ts';

// A driver in software takes a minute and more where other processes want the processors: only ends what hangs.
vi.setConfig({ testTimeout: 600_000 });

interface Conditions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Ends the program with the test. */
  readonly signal: AbortSignal;
}

async function runOn(device: string, { env = {}, signal }: Conditions): Promise<DeviceRun> {
  const program = join(import.meta.dirname, 'device-run.ts');
  const options = { env: { ...process.env, ...env }, signal };
  const { stdout } = await promisify(execFile)(process.execPath, [program, device], options);
  return JSON.parse(stdout) as DeviceRun;
}

function expectParity({ losses, cpuLosses, differences }: DeviceRun): void {
  expect(losses).toHaveLength(6);
  expect(new Set(cpuLosses).size).toBe(6);
  losses.forEach((loss, i) => {
    expect(loss, `loss of step ${i + 1}`).toBeCloseTo(cpuLosses[i]!, 5);
  });
  expect(Math.max(...differences)).toBeLessThan(2e-4);
}

/** A reason to skip, also on the console: not every reporter shows it. */
function told(reason: string): string {
  console.warn(`Skipped: ${reason}`);
  return reason;
}

describe('training on a device', () => {
  it('on WebGPU, with the state on the device, computes what the CPU computes', async ({ skip, signal }) => {
    const software = softwareVulkan();
    const result = await runOn('webgpu', { env: software, signal });
    if (software === undefined && result.device === 'cpu')
      skip(told(`no graphics driver here, nor a Chromium with SwiftShader beside it: ${result.said[0]}`));
    expect(result).toMatchObject({ device: 'webgpu', said: [] });
    expectParity(result);
  });

  it('on CUDA, in calls of several steps, computes what the CPU computes', async ({ skip, signal }) => {
    const result = await runOn('cuda', { signal });
    if (result.device === 'cpu') skip(told(`no CUDA here: ${result.said[0]}`));
    expectParity(result);
  });

  it('falls back to the CPU and says so once', async ({ signal }) => {
    const result = await runOn('cuda', { env: { CUDA_VISIBLE_DEVICES: '-1' }, signal });
    expect(result.device).toBe('cpu');
    expect(result.said).toEqual([
      expect.stringMatching(/^training runs on the CPU: cuda was asked for and cannot start \(.+\)\.$/),
    ]);
    expectParity(result);
  });
});
