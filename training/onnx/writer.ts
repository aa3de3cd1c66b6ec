/** ONNX nodes and literals as they are written: each gets a name, and equal ones are written once. */
import { type NodeAttribute, nodeProto, tensorProto, typedArray } from './model.ts';

/** What a graph under emission has written so far. */
export class Writer {
  readonly nodes: ReturnType<typeof nodeProto>[] = [];
  readonly initializers: ReturnType<typeof tensorProto>[] = [];
  readonly #written = new Map<string, readonly string[]>();
  #next = 0;

  /** The name of a literal. */
  literal(
    dtype: 'float32' | 'float16' | 'int64',
    values: readonly number[],
    shape: readonly number[] = [values.length],
  ): string {
    return this.#once(`${dtype} ${shape} : ${values}`, () => {
      const name = `literal_${this.#next++}`;
      this.initializers.push(tensorProto(name, { dtype, shape, data: typedArray(dtype, values) }));
      return [name];
    })[0]!;
  }

  /** The names of a node's outputs, '' for those that are not wanted. */
  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, NodeAttribute>> = {},
    outputs: readonly boolean[] = [true],
  ): readonly string[] {
    return this.#once(`${type} ${inputs.join(' ')} ${JSON.stringify(attributes)} ${outputs}`, () => {
      const base = `${type.toLowerCase()}_${this.#next++}`;
      const names = outputs.map((wanted, i) => (wanted ? (i === 0 ? base : `${base}_${i}`) : ''));
      this.nodes.push(nodeProto({ type, inputs, outputs: names, attributes }));
      return names;
    });
  }

  /** A node with one output. */
  one = (type: string, inputs: readonly string[], attributes: Readonly<Record<string, NodeAttribute>> = {}): string =>
    this.node(type, inputs, attributes)[0]!;

  #once(key: string, write: () => readonly string[]): readonly string[] {
    const known = this.#written.get(key) ?? write();
    this.#written.set(key, known);
    return known;
  }
}
