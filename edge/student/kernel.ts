/** The one part of a student that is WebAssembly: its linear layers (linear.wat), over a memory that the caller brings. */

/** As much of WebAssembly.Memory as is used here; Node's types and the Worker's have no common one. */
export interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export const PAGE_BYTES = 65_536;

/** Addresses but for `xScale` and the last three; see linear.wat. */
export type Linear = (
  x: number,
  xScale: number,
  weight: number,
  scale: number,
  bias: number,
  out: number,
  rows: number,
  k: number,
  n: number,
) => void;

const { WebAssembly: wasm } = globalThis as unknown as {
  WebAssembly: {
    Memory: new (options: { initial: number }) => Memory;
    Instance: new (module: object, imports: object) => { exports: { linear: Linear } };
  };
};

/** A memory of at least so many bytes. */
export const memoryOf = (bytes: number): Memory => new wasm.Memory({ initial: Math.ceil(bytes / PAGE_BYTES) });

/** @param module linear.wasm, compiled: a Worker may not compile at run time. */
export const linearOver = (memory: Memory, module: object): Linear =>
  new wasm.Instance(module, { student: { memory } }).exports.linear;
