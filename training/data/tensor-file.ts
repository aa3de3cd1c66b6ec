/** Tensors in safetensors files that appear under their name only when complete, so that a killed run leaves no half file. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type Dtype,
  readSafetensors,
  type SafeTensor,
  type SafeTensors,
  writeSafetensors,
} from '../../shared/safetensors.ts';
import type { TensorData, TypedArray } from '../onnx/model.ts';

const STORED = {
  float32: 'F32',
  float16: 'F16',
  int64: 'I64',
  int32: 'I32',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
} as const;
const ARRAY: Partial<Record<Dtype, { new (buffer: ArrayBuffer): TypedArray; dtype: TensorData['dtype'] }>> = {
  F32: Object.assign(Float32Array, { dtype: 'float32' as const }),
  I64: Object.assign(BigInt64Array, { dtype: 'int64' as const }),
  I32: Object.assign(Int32Array, { dtype: 'int32' as const }),
  I8: Object.assign(Int8Array, { dtype: 'int8' as const }),
  U8: Object.assign(Uint8Array, { dtype: 'uint8' as const }),
};

/** Writes bytes beside their place, flushes, and renames. */
export async function writeWhole(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.partial`;
  const file = await open(partial, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

/** A tensor in the words of safetensors; its bytes are not copied. */
export function toStored({ dtype, shape, data }: TensorData): SafeTensor {
  return {
    dtype: STORED[dtype],
    shape: [...shape],
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function fromStored({ dtype, shape, data }: SafeTensor, name: string): TensorData {
  const array = ARRAY[dtype];
  if (!array) throw new Error(`tensor ${name}: ${dtype} is not read here`);
  return { dtype: array.dtype, shape, data: new array(data.slice().buffer as ArrayBuffer) };
}

/** Named tensors, and text about them. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, TensorData>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Writes a file that is whole or absent. */
export async function writeTensors(path: string, { tensors, metadata }: TensorFile): Promise<void> {
  const stored: SafeTensors = {
    tensors: new Map([...tensors].map(([name, tensor]) => [name, toStored(tensor)])),
    metadata: { ...metadata },
  };
  await writeWhole(path, writeSafetensors(stored));
}

/** The text about the tensors alone: only the header is read, not the possibly hundreds of megabytes after it. */
export async function readMetadata(path: string): Promise<TensorFile['metadata']> {
  const file = await open(path);
  try {
    const length = Buffer.alloc(8);
    await file.read(length, 0, 8, 0);
    const header = Buffer.alloc(Number(length.readBigUInt64LE()));
    await file.read(header, 0, header.length, 8);
    return (JSON.parse(header.toString()) as { __metadata__?: TensorFile['metadata'] }).__metadata__ ?? {};
  } finally {
    await file.close();
  }
}

/** Reads what `writeTensors` wrote. @throws HarnessError where the file is damaged. */
export async function readTensors(path: string): Promise<TensorFile> {
  const { buffer, byteOffset, byteLength } = await readFile(path);
  // A plain Uint8Array over the same bytes: slicing a Buffer would not copy.
  const { tensors, metadata } = readSafetensors(new Uint8Array(buffer, byteOffset, byteLength), path);
  return { tensors: new Map([...tensors].map(([name, tensor]) => [name, fromStored(tensor, name)])), metadata };
}
