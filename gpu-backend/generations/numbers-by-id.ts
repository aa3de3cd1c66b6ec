/**
 * Numbers of ads by their ids, however many. One Map over a million ids grows in single steps of a tenth of a second, in which no
 * query is answered; each of many small ones grows in a millisecond.
 */

/** Of two thousand ids and more each, where ads are so many that it matters. */
const PARTS = 512;

/** The part of an id: those of a catalogue often differ in few places, wherever these are. */
function partOf(id: string): number {
  let hash = 0;
  for (let i = 0; i < id.length; i++) hash = (Math.imul(hash, 31) + id.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 15)) & (PARTS - 1);
}

/** What a Map of ids does; ids come in no order. */
export class NumbersById {
  readonly #parts = Array.from({ length: PARTS }, () => new Map<string, number>());
  #size = 0;

  get size(): number {
    return this.#size;
  }
  get(id: string): number | undefined {
    return this.#parts[partOf(id)]!.get(id);
  }
  has(id: string): boolean {
    return this.#parts[partOf(id)]!.has(id);
  }
  set(id: string, number: number): void {
    const part = this.#parts[partOf(id)]!;
    const before = part.size;
    part.set(id, number);
    this.#size += part.size - before;
  }
  delete(id: string): void {
    if (this.#parts[partOf(id)]!.delete(id)) this.#size--;
  }
  *keys(): Generator<string> {
    for (const part of this.#parts) yield* part.keys();
  }
}
