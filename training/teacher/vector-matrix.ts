/**
 * A matrix of vectors in a file, read row by row: NumPy's `.npy` (NEP 1, https://numpy.org/neps/nep-0001-npy-format.html) or a safetensors
 * file with a tensor `vectors`. Only its header is held in memory.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { parse } from 'npyjs';
import { z } from 'zod';
import { HarnessError } from '../../shared/problem.ts';
import { BYTES_PER_ELEMENT, type Dtype, toFloat32 } from '../../shared/safetensors.ts';

/** An open file of vectors. */
export interface VectorMatrix {
  readonly path: string;
  readonly rows: number;
  readonly dimension: number;
  /** The texts of the rows where the file holds them: a safetensors tensor `texts`, UTF-8 bytes of lines. */
  readonly texts: readonly string[] | undefined;
  /** The rows named, float32 [rows, dimension], in the order named. */
  read(rows: readonly number[]): Promise<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

interface Header {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Of the first row, in bytes from the file's beginning. */
  readonly start: number;
  readonly texts?: readonly string[];
}

/** Longest run of neighbouring rows that is read at once. */
const BYTES_A_READ = 1 << 20;
const NPY_MAGIC = '\x93NUMPY';
const NPY_DTYPE: Readonly<Record<string, Dtype>> = { f2: 'F16', f4: 'F32', f8: 'F64' };
const FLOATS: readonly Dtype[] = ['F16', 'BF16', 'F32', 'F64'];

const Tensor = z.object({
  dtype: z.enum(Object.keys(BYTES_PER_ELEMENT) as [Dtype, ...Dtype[]]),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
const Tensors = z.object({ vectors: Tensor, texts: Tensor.optional() });

/** Bytes of a file, from a position on. */
type ReadBytes = (position: number, length: number) => Promise<Buffer<ArrayBuffer>>;

/** Sizes that a damaged header claims are refused before memory is taken for them. */
async function bytesOf(file: FileHandle): Promise<ReadBytes> {
  const { size } = await file.stat();
  return async (position, length) => {
    if (position + length > size) throw new Error(`expected ${length} bytes from ${position} on, the file has ${size}`);
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, position);
    return buffer;
  };
}

async function npyHeader(bytes: ReadBytes): Promise<Header> {
  const preamble = await bytes(0, 12);
  if (!preamble.toString('latin1').startsWith(NPY_MAGIC)) throw new Error('not an .npy file');
  const start = preamble[6] === 1 ? 10 + preamble.readUInt16LE(8) : 12 + preamble.readUInt32LE(8);
  // The header alone is a file of no rows.
  const { buffer, byteOffset } = await bytes(0, start);
  const { dtype, shape, fortranOrder } = parse(buffer.slice(byteOffset, byteOffset + start), { convertFloat16: false });
  const stored = NPY_DTYPE[dtype];
  if (fortranOrder || !stored)
    throw new Error(
      `expected float16, float32 or float64 in C order, found ${dtype}${fortranOrder ? ' in Fortran order' : ''}`,
    );
  return { dtype: stored, shape, start };
}

async function safetensorsHeader(bytes: ReadBytes): Promise<Header> {
  const length = Number((await bytes(0, 8)).readBigUInt64LE());
  const data = 8 + length;
  const { vectors, texts } = Tensors.parse(JSON.parse((await bytes(8, length)).toString()));
  if (!FLOATS.includes(vectors.dtype)) throw new Error(`expected floating-point vectors, found ${vectors.dtype}`);
  const [from, to] = texts?.data_offsets ?? [0, 0];
  const lines = texts && (await bytes(data + from, to - from)).toString().split('\n');
  return {
    dtype: vectors.dtype,
    shape: vectors.shape,
    start: data + vectors.data_offsets[0],
    ...(lines ? { texts: lines } : {}),
  };
}

/** Opens a file by its ending. @throws HarnessError in one line where the file is not such a matrix, or is cut short. */
export async function openMatrix(path: string): Promise<VectorMatrix> {
  const file = await open(path);
  try {
    const bytes = await bytesOf(file);
    const { dtype, shape, start, texts } = await (path.endsWith('.npy') ? npyHeader : safetensorsHeader)(bytes);
    const [rows, dimension] = shape as [number, number];
    if (shape.length !== 2 || dimension === 0) throw new Error(`expected a shape [rows, dimension], found [${shape}]`);
    const rowBytes = dimension * BYTES_PER_ELEMENT[dtype];
    const { size } = await file.stat();
    if (start + rows * rowBytes > size)
      throw new Error(`[${shape}] needs ${rows * rowBytes} bytes from ${start} on, the file has ${size}`);
    const block = async (first: number, count: number) => {
      const data = await bytes(start + first * rowBytes, count * rowBytes);
      return toFloat32({ dtype, shape: [count, dimension], data });
    };
    return {
      path,
      rows,
      dimension,
      texts,
      async read(wanted) {
        const vectors = new Float32Array(wanted.length * dimension);
        const order = [...wanted.keys()].sort((a, b) => wanted[a]! - wanted[b]!);
        const most = Math.max(1, Math.floor(BYTES_A_READ / rowBytes));
        for (let at = 0; at < order.length; ) {
          const first = wanted[order[at]!]!;
          let end = at + 1;
          // Neighbours, and the same row again.
          while (
            end < order.length &&
            wanted[order[end]!]! - wanted[order[end - 1]!]! <= 1 &&
            wanted[order[end]!]! - first < most
          )
            end++;
          const values = await block(first, wanted[order[end - 1]!]! - first + 1);
          for (; at < end; at++) {
            const row = wanted[order[at]!]! - first;
            vectors.set(values.subarray(row * dimension, (row + 1) * dimension), order[at]! * dimension);
          }
        }
        return vectors;
      },
      close: () => file.close(),
    };
  } catch (cause) {
    await file.close();
    const why =
      cause instanceof z.ZodError
        ? `${cause.issues[0]!.path.join('.')}: ${cause.issues[0]!.message}`
        : (cause as Error).message;
    throw new HarnessError('bundle_damaged', `${path}: expected a matrix of vectors: ${why.replaceAll(/\s+/g, ' ')}.`, {
      cause,
    });
  }
}
