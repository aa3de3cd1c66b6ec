/**
 * The links of an HNSW graph (Malkov and Yashunin, 2018) as flat arrays: taken from the file that usearch saves, and a file
 * of our own, which has no second copy of the vectors and does not change with usearch. A node is a row's place among the
 * members of its index.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { HarnessError } from '../../shared/problem.ts';
import { type SafeTensor, writeSafetensors } from '../../shared/safetensors.ts';
import { withTensorFile } from './tensor-file.ts';

export interface HnswGraph {
  size: number;
  /** The node where every search begins, and the highest level, which is its own. */
  entry: number;
  top: number;
  /** Level 0, [size, 1 + degree]: how many links, and where to. */
  links: Int32Array;
  degree: number;
  /** [size]: the row of `upper` that has a node's level 1, the next ones its level 2 and so on; -1 where it has level 0 alone. */
  above: Int32Array;
  /** Levels above 0, [any, 1 + upperDegree] in the form of `links`. */
  upper: Int32Array;
  upperDegree: number;
}

/** Bytes of usearch's file that are read at a time. */
const PIECE = 1 << 22;

/** A file in order, piece by piece. */
class Reader {
  readonly #file: number;
  readonly #path: string;
  #buffer = Buffer.alloc(0);
  #at = 0;
  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'r');
  }
  /** The next `bytes` bytes, good until the next call. */
  take(bytes: number): DataView {
    if (this.#buffer.length < bytes) {
      const more = Buffer.alloc(Math.max(PIECE, bytes));
      const read = readSync(this.#file, more, 0, more.length, this.#at);
      this.#at += read;
      this.#buffer = Buffer.concat([this.#buffer, more.subarray(0, read)]);
      if (this.#buffer.length < bytes)
        throw new HarnessError(
          'internal',
          `${this.#path}: expected ${bytes} more bytes, got ${this.#buffer.length}: usearch saves in another form.`,
        );
    }
    const view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, bytes);
    this.#buffer = this.#buffer.subarray(bytes);
    return view;
  }
  /** Passes over what nothing was taken of yet. */
  skip(bytes: number): void {
    this.#at += bytes - this.#buffer.length;
    this.#buffer = Buffer.alloc(0);
  }
  close(): void {
    closeSync(this.#file);
  }
}

/**
 * The links in a file of usearch 2: the vectors; a head of 64 bytes; size, both degrees, levels and entry as u64; the level of
 * each slot as i16; then the slots: u64 key, i16 level, and for each level u32 how many links and u32 slots. Keys are nodes.
 * Throws `internal` when the file is anything else.
 */
export function readUsearchLinks(path: string): HnswGraph {
  const reader = new Reader(path);
  try {
    const matrix = reader.take(8);
    reader.skip(matrix.getUint32(0, true) * matrix.getUint32(4, true));
    const head = reader.take(64);
    const magic = Array.from({ length: 7 }, (_, i) => String.fromCharCode(head.getUint8(i))).join('');
    if (magic !== 'usearch' || head.getUint16(7, true) !== 2) {
      throw new HarnessError('internal', `${path}: expected a graph of usearch 2, got another head.`);
    }
    const numbers = reader.take(40);
    const [size, upperDegree, degree, top, first] = [0, 8, 16, 24, 32].map((at) =>
      Number(numbers.getBigUint64(at, true)),
    ) as [number, number, number, number, number];
    const levels = Int16Array.from({ length: size }, () => reader.take(2).getInt16(0, true));
    const [width, upperWidth] = [1 + degree, 1 + upperDegree];
    const bySlot = new Int32Array(size * width);
    const above = new Int32Array(size).fill(-1);
    const upper = new Int32Array(upperWidth * levels.reduce((sum, level) => sum + level, 0));
    const nodeOf = new Int32Array(size);
    const linksInto = (into: Int32Array, at: number, most: number) => {
      const view = reader.take(4 + 4 * most);
      const count = view.getUint32(0, true);
      into[at] = count;
      for (let i = 1; i <= count; i++) into[at + i] = view.getUint32(4 * i, true);
    };
    let used = 0;
    for (let slot = 0; slot < size; slot++) {
      const node = Number(reader.take(10).getBigUint64(0, true));
      nodeOf[slot] = node;
      linksInto(bySlot, slot * width, degree);
      if (levels[slot]! > 0) above[node] = used;
      for (let level = 0; level < levels[slot]!; level++) linksInto(upper, upperWidth * used++, upperDegree);
    }
    // From slots to nodes: threads add in any order.
    const links = new Int32Array(new SharedArrayBuffer(bySlot.byteLength));
    for (let slot = 0; slot < size; slot++) {
      const [from, to] = [slot * width, nodeOf[slot]! * width];
      links[to] = bySlot[from]!;
      for (let i = 1; i <= bySlot[from]!; i++) links[to + i] = nodeOf[bySlot[from + i]!]!;
    }
    for (let at = 0; at < upper.length; at += upperWidth) {
      for (let i = 1; i <= upper[at]!; i++) upper[at + i] = nodeOf[upper[at + i]!]!;
    }
    return { size, entry: nodeOf[first] ?? 0, top, links, degree, above, upper, upperDegree };
  } finally {
    reader.close();
  }
}

/** The file that {@link readGraph} reads. */
export function graphImage({ size, entry, top, links, degree, above, upper, upperDegree }: HnswGraph): Uint8Array {
  const tensor = (values: Int32Array, shape: number[]): SafeTensor => ({
    dtype: 'I32',
    shape,
    data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  });
  return writeSafetensors({
    tensors: new Map([
      ['links', tensor(links, [size, 1 + degree])],
      ['above', tensor(above, [size])],
      ['upper', tensor(upper, [upper.length / (1 + upperDegree), 1 + upperDegree])],
    ]),
    metadata: { entry: String(entry), top: String(top) },
  });
}

/** Reads a graph over `size` members. Throws `bundle_damaged` when it is none. */
export function readGraph(path: string, { size }: { size: number }): Promise<HnswGraph> {
  return withTensorFile(path, async ({ tensors, metadata, fill }) => {
    const of = (name: string) => {
      const { dtype, shape, from, bytes } = tensors.get(name) ?? { dtype: 'none', shape: [], from: 0, bytes: 0 };
      const [rows = 0, width = 1] = shape;
      const read = async () => {
        const values = new Int32Array(new SharedArrayBuffer(bytes)); // threads may share it
        await fill(new Uint8Array(values.buffer), from);
        return values;
      };
      return { dtype, rows, width, read };
    };
    const [links, above, upper] = [of('links'), of('above'), of('upper')];
    if (links.dtype !== 'I32' || links.rows !== size || above.rows !== size) {
      throw new HarnessError(
        'bundle_damaged',
        `${path}: expected a graph of ${size} rows, got ${links.rows}; build the generation again.`,
      );
    }
    return {
      size,
      entry: Number(metadata.entry),
      top: Number(metadata.top),
      links: await links.read(),
      degree: links.width - 1,
      above: await above.read(),
      upper: await upper.read(),
      upperDegree: upper.width - 1,
    };
  });
}
