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

/** Bytes of a file that say how long its header is. */
export const LENGTH_BYTES = 8;

/** Where the header ends in a file of `fileBytes`, from its first {@link LENGTH_BYTES}; throws `bundle_damaged`. */
export function headerEnd(first: Uint8Array, { name, fileBytes }: { name: string; fileBytes: number }): number {
  if (fileBytes < LENGTH_BYTES) throw damaged(name, `expected at least ${LENGTH_BYTES} bytes, got ${fileBytes}`);
  const headerBytes = Number(new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  const end = LENGTH_BYTES + headerBytes;
  if (!(end <= fileBytes)) throw damaged(name, `the header claims ${headerBytes} bytes, the file has ${fileBytes}`);
  return end;
}

/** A tensor in its file: its bytes begin at `from`. */
export type TensorPlace = Omit<SafeTensor, 'data'> & { from: number; bytes: number };

/** What the head of a file says, all that comes before the data; throws `bundle_damaged` when sizes and offsets do not add up. */
export function readHead(
  head: Uint8Array,
  { name, fileBytes }: { name: string; fileBytes: number },
): { tensors: Map<string, TensorPlace>; metadata: Record<string, string> } {
  let header: z.infer<typeof Header>;
  try {
    header = Header.parse(JSON.parse(new TextDecoder().decode(head.subarray(LENGTH_BYTES))));
  } catch (cause) {
    throw new HarnessError('bundle_damaged', `${name}: not a whole safetensors file: unreadable header.`, { cause });
  }
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = new Map<string, TensorPlace>();
  for (const [key, raw] of Object.entries(entries)) {
    const { dtype, shape, data_offsets } = Entry.parse(raw);
    const [from, to] = data_offsets;
    const expected = shape.reduce((a, b) => a * b, BYTES_PER_ELEMENT[dtype]);
    if (to - from !== expected || head.byteLength + to > fileBytes) {
      throw damaged(
        name,
        `tensor ${key} ${dtype} [${shape.join(', ')}] needs ${expected} bytes at ${from}, the file ends at ${fileBytes - head.byteLength}`,
      );
    }
    tensors.set(key, { dtype, shape, from: head.byteLength + from, bytes: expected });
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

/** Reads a file image; throws `bundle_damaged` when sizes and offsets do not add up. */
export function readSafetensors(file: Uint8Array, name = 'safetensors'): SafeTensors {
  const of = { name, fileBytes: file.byteLength };
  const { tensors, metadata } = readHead(file.subarray(0, headerEnd(file, of)), of);
  return {
    tensors: new Map(
      Array.from(tensors, ([key, { dtype, shape, from, bytes }]) => [
        key,
        { dtype, shape, data: file.subarray(from, from + bytes) },
      ]),
    ),
    metadata,
  };
}

/** What comes before the data of the tensors, in the order given; the data section is aligned to 8 bytes. */
export function headImage({
  tensors,
  metadata,
}: {
  tensors: ReadonlyMap<string, Omit<TensorPlace, 'from'>>;
  metadata: Record<string, string>;
}): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(LENGTH_BYTES + 8 * Math.ceil(json.byteLength / 8)).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.byteLength - LENGTH_BYTES), true);
  head.set(json, LENGTH_BYTES);
  return head;
}

/** A file image; tensors in the order given. */
export function writeSafetensors({ tensors, metadata }: SafeTensors): Uint8Array<ArrayBuffer> {
  const places = new Map(
    Array.from(tensors, ([name, { data, ...type }]) => [name, { ...type, bytes: data.byteLength }]),
  );
  const head = headImage({ tensors: places, metadata });
  const all = [head, ...Array.from(tensors.values(), ({ data }) => data)];
  const file = new Uint8Array(all.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of all) {
    file.set(part, at);
    at += part.byteLength;
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
