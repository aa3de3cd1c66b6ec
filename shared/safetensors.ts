/**
 * The safetensors container: u64 little-endian header length, a JSON header of name -> {dtype, shape, data_offsets}
 * (offsets relative to the data section), then the data. Tensors are views where alignment allows, copies where not.
 */
import * as z from 'zod';
import { HarnessError } from './problem.ts';

export const BYTES_PER_ELEMENT = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;
export type Dtype = keyof typeof BYTES_PER_ELEMENT;

export interface SafeTensor {
  dtype: Dtype;
  shape: number[];
  /** Little-endian bytes, row-major. */
  data: Uint8Array;
}

export interface SafeTensors {
  tensors: Map<string, SafeTensor>;
  metadata: Record<string, string>;
}

const Entry = z.object({
  dtype: z.enum(Object.keys(BYTES_PER_ELEMENT) as [Dtype, ...Dtype[]]),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
const Header = z.record(z.string(), z.union([Entry, z.record(z.string(), z.string())]));

const damaged = (name: string, why: string) =>
  new HarnessError('bundle_damaged', `${name}: not a whole safetensors file: ${why}.`);

/** Reads a file image; throws `bundle_damaged` when sizes and offsets do not add up. */
export function readSafetensors(file: Uint8Array, name = 'safetensors'): SafeTensors {
  if (file.byteLength < 8) throw damaged(name, `expected at least 8 bytes, got ${file.byteLength}`);
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
  const start = 8 + headerBytes;
  if (!(start <= file.byteLength))
    throw damaged(name, `the header claims ${headerBytes} bytes, the file has ${file.byteLength}`);
  let header: z.infer<typeof Header>;
  try {
    header = Header.parse(JSON.parse(new TextDecoder().decode(file.subarray(8, start))));
  } catch (cause) {
    throw new HarnessError('bundle_damaged', `${name}: not a whole safetensors file: unreadable header.`, { cause });
  }
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = new Map<string, SafeTensor>();
  for (const [key, raw] of Object.entries(entries)) {
    const { dtype, shape, data_offsets } = Entry.parse(raw);
    const [from, to] = data_offsets;
    const expected = shape.reduce((a, b) => a * b, BYTES_PER_ELEMENT[dtype]);
    if (to - from !== expected || start + to > file.byteLength) {
      throw damaged(
        name,
        `tensor ${key} ${dtype} [${shape.join(', ')}] needs ${expected} bytes at ${from}, the file ends at ${file.byteLength - start}`,
      );
    }
    tensors.set(key, { dtype, shape, data: file.subarray(start + from, start + to) });
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

/** A file image; tensors in the order given, the data section aligned to 8 bytes. */
export function writeSafetensors({ tensors, metadata }: SafeTensors): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  let json = new TextEncoder().encode(JSON.stringify(header));
  const padding = (8 - (json.byteLength % 8)) % 8;
  json = Uint8Array.from([...json, ...new Array<number>(padding).fill(0x20)]);
  const file = new Uint8Array(8 + json.byteLength + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  file.set(json, 8);
  let at = 8 + json.byteLength;
  for (const { data } of tensors.values()) {
    file.set(data, at);
    at += data.byteLength;
  }
  return file;
}

/** A tensor's bytes, copied when a typed array could not be laid over them. */
function aligned(data: Uint8Array, size: number): { buffer: ArrayBuffer; byteOffset: number } {
  // Not slice(): on a Node Buffer that is a view.
  const source = data.byteOffset % size === 0 ? data : new Uint8Array(data);
  return { buffer: source.buffer as ArrayBuffer, byteOffset: source.byteOffset };
}

function half(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The values as float32, whatever floating type is stored. Throws for integer tensors. */
export function toFloat32({ dtype, shape, data }: SafeTensor): Float32Array<ArrayBuffer> {
  const count = shape.reduce((a, b) => a * b, 1);
  const { buffer, byteOffset } = aligned(data, BYTES_PER_ELEMENT[dtype]);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, count);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, count));
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count), half);
    case 'BF16': {
      const bits = Uint32Array.from(new Uint16Array(buffer, byteOffset, count), (value) => value << 16);
      return new Float32Array(bits.buffer);
    }
    default:
      throw new HarnessError('bundle_damaged', `expected a floating-point tensor (F64, F32, F16, BF16), got ${dtype}.`);
  }
}

/** A float32 tensor over the array's own bytes. */
export function fromFloat32(values: Float32Array, shape: number[]): SafeTensor {
  return { dtype: 'F32', shape, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}
