/** The machine a number was measured on. */
import { cpus, totalmem } from 'node:os';
import ort from 'onnxruntime-node';

export function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    onnxruntime: ort.env.versions.node ?? 'unknown',
  };
}
