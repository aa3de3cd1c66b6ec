/**
 * The inverted lists of a generation: made once, in its build process, and never changed. One safetensors file of arrays that
 * are used where they lie, so that opening it costs a read and no parsing.
 *
 *   docs I32 [postings]           rows, ascending within a term
 *   starts I32 [terms + 1]        where a term's postings begin
 *   fieldAds I32 [terms, 3]       ads that have the term in each field
 *   termStarts I32 [terms + 1]    where a term's bytes begin
 *   idPlaces I32 [rows]           place of the row's ad in the order of ids
 *   shapeOf I16 or I32 [postings] their shapes (posting-shapes.ts): 16 bits where these suffice
 *   counts I16 [shapes]           packed counts (lexical-terms.ts)
 *   lengths I16 [shapes, 3]       lengths of the fields
 *   peaks I16 [terms, 3, 2]       by field the greatest count of the term's postings, and the least length beside any count
 *   terms U8                      UTF-8, in the order of the bytes
 *
 * Its metadata has `lengthSums`, the lengths of each field over all ads.
 */
import { HarnessError } from '../../shared/problem.ts';
import { readSafetensors, type SafeTensor, writeSafetensors } from '../../shared/safetensors.ts';
import { countIn, FIELDS, type IndexedAd } from './lexical-terms.ts';
import { PostingShapes } from './posting-shapes.ts';

export interface LexicalSegment {
  rows: number;
  docs: Int32Array;
  shapeOf: Uint16Array | Int32Array;
  shapes: PostingShapes;
  starts: Int32Array;
  fieldAds: Int32Array;
  peaks: Uint16Array;
  lengthSums: readonly number[];
  idPlaces: Int32Array;
  /** Place of a term, -1 where no ad has it. */
  find(term: string): number;
}

/** Numbers that a term has in {@link LexicalSegment.peaks}. */
export const PEAKS = 2 * FIELDS.length;

class Growing {
  #values = new Int32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = new Int32Array(2 * this.length);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }
  get values(): Int32Array {
    return this.#values.subarray(0, this.length);
  }
}

/** Takes ads in row order; {@link image} is the file. */
export class LexicalSegmentBuilder {
  readonly #places = new Map<string, number>();
  /** A posting an entry, in the order of the rows. */
  readonly #entries = { place: new Growing(), row: new Growing(), shape: new Growing() };
  readonly #shapes = new PostingShapes();
  readonly #lengthSums = FIELDS.map(() => 0);
  readonly #ids: string[] = [];

  add({ id, counts, lengths }: IndexedAd): void {
    const row = this.#ids.length;
    this.#ids.push(id);
    for (const [f, length] of lengths.entries()) this.#lengthSums[f]! += length;
    for (const [term, packed] of counts) {
      const place = this.#places.get(term) ?? this.#places.size;
      this.#places.set(term, place);
      this.#entries.place.push(place);
      this.#entries.row.push(row);
      this.#entries.shape.push(this.#shapes.of(packed, lengths));
    }
  }

  image(): Uint8Array<ArrayBuffer> {
    const sorted = [...this.#places.entries()]
      .map(([term, place]) => ({ bytes: Buffer.from(term), place }))
      .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    const rank = new Int32Array(sorted.length);
    for (const [at, { place }] of sorted.entries()) rank[place] = at;
    const { place, row, shape } = this.#entries;
    const [places, rows, shapes] = [place.values, row.values, shape.values];
    const { counts, lengths } = this.#shapes;
    const starts = new Int32Array(sorted.length + 1);
    for (const entry of places) starts[rank[entry]! + 1]!++;
    for (let at = 0; at < sorted.length; at++) starts[at + 1]! += starts[at]!;
    // Rows were entered in order, so each list comes out in order.
    const next = starts.slice();
    const docs = new Int32Array(place.length);
    const shapeOf = this.#shapes.size <= 65_536 ? new Uint16Array(place.length) : new Int32Array(place.length);
    const fieldAds = new Int32Array(sorted.length * FIELDS.length);
    const peaks = new Uint16Array(sorted.length * PEAKS);
    for (let i = 0; i < place.length; i++) {
      const at = rank[places[i]!]!;
      const to = next[at]!++;
      const own = shapes[i]!;
      docs[to] = rows[i]!;
      shapeOf[to] = own;
      for (const [f, field] of FIELDS.entries()) {
        const count = countIn(counts[own]!, field);
        if (count === 0) continue;
        const [length, peak] = [lengths[own * FIELDS.length + f]!, at * PEAKS + 2 * f];
        const first = fieldAds[at * FIELDS.length + f]!++ === 0;
        peaks[peak] = Math.max(peaks[peak]!, count);
        peaks[peak + 1] = first ? length : Math.min(peaks[peak + 1]!, length);
      }
    }
    const termStarts = new Int32Array(sorted.length + 1);
    for (const [at, { bytes }] of sorted.entries()) termStarts[at + 1] = termStarts[at]! + bytes.length;
    const byId = Array.from(this.#ids, (_, row) => row);
    byId.sort((a, b) => (this.#ids[a]! < this.#ids[b]! ? -1 : 1));
    const idPlaces = new Int32Array(byId.length);
    for (const [at, row] of byId.entries()) idPlaces[row] = at;
    const tensor = (dtype: SafeTensor['dtype'], data: Int32Array | Uint16Array | Uint8Array): SafeTensor => ({
      dtype,
      shape: [data.length],
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    // Widest first: each array then begins where it can be used in place.
    return writeSafetensors({
      tensors: new Map([
        ['docs', tensor('I32', docs)],
        ['starts', tensor('I32', starts)],
        ['fieldAds', tensor('I32', fieldAds)],
        ['termStarts', tensor('I32', termStarts)],
        ['idPlaces', tensor('I32', idPlaces)],
        ['shapeOf', tensor(shapeOf instanceof Int32Array ? 'I32' : 'I16', shapeOf)],
        ['counts', tensor('I16', counts)],
        ['lengths', tensor('I16', lengths)],
        ['peaks', tensor('I16', peaks)],
        ['terms', tensor('U8', Buffer.concat(sorted.map(({ bytes }) => bytes)))],
      ]),
      metadata: { lengthSums: JSON.stringify(this.#lengthSums) },
    });
  }
}

/** Lays the arrays over a file's image; throws `bundle_damaged` where they do not fit each other. */
export function readSegment(image: Uint8Array, path: string): LexicalSegment {
  const { tensors, metadata } = readSafetensors(image, path);
  const bytesOf = (name: string, width: number): [ArrayBuffer, number, number] => {
    const data = tensors.get(name)?.data ?? new Uint8Array();
    // Not slice(): on a Buffer that is a view.
    const { buffer, byteOffset, byteLength } = data.byteOffset % width === 0 ? data : new Uint8Array(data);
    return [buffer as ArrayBuffer, byteOffset, byteLength / width];
  };
  const ints = (name: string) => new Int32Array(...bytesOf(name, 4));
  const shorts = (name: string) => new Uint16Array(...bytesOf(name, 2));
  const [docs, starts, fieldAds, termStarts] = [ints('docs'), ints('starts'), ints('fieldAds'), ints('termStarts')];
  const shapeOf = tensors.get('shapeOf')?.dtype === 'I32' ? ints('shapeOf') : shorts('shapeOf');
  const [idPlaces, counts, lengths, peaks] = [ints('idPlaces'), shorts('counts'), shorts('lengths'), shorts('peaks')];
  const lengthSums: number[] = JSON.parse(metadata.lengthSums ?? '[]');
  const words = Buffer.from(...bytesOf('terms', 1));
  const terms = starts.length - 1;
  if (
    shapeOf.length !== docs.length ||
    starts[terms] !== docs.length ||
    termStarts.length !== starts.length ||
    termStarts[terms] !== words.length ||
    fieldAds.length !== terms * FIELDS.length ||
    peaks.length !== terms * PEAKS ||
    lengthSums.length !== FIELDS.length ||
    lengths.length !== counts.length * FIELDS.length
  ) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected ${terms} terms over ${docs.length} postings, got ${termStarts.length - 1} words with ${shapeOf.length} shapes, of which there are ${counts.length} with ${lengths.length} lengths; build a new generation.`,
    );
  }
  return {
    rows: idPlaces.length,
    docs,
    shapeOf,
    shapes: PostingShapes.from(counts, lengths),
    starts,
    fieldAds,
    peaks,
    lengthSums,
    idPlaces,
    find(term) {
      const wanted = Buffer.from(term);
      let [low, high] = [0, terms - 1];
      while (low <= high) {
        const middle = (low + high) >> 1;
        const order = words.compare(wanted, 0, wanted.length, termStarts[middle]!, termStarts[middle + 1]!);
        if (order === 0) return middle;
        if (order < 0) low = middle + 1;
        else high = middle - 1;
      }
      return -1;
    },
  };
}

/** A segment of no ads. */
export const emptySegment = (): LexicalSegment => readSegment(new LexicalSegmentBuilder().image(), 'empty');
