/** Reverse-mode differentiation: one walk from the loss to the parameters, adding gradient nodes to the graph. */

import { gradientsOf } from './gradients.ts';
import type { Graph, Value } from './graph.ts';
import { GraphError, showShape } from './shapes.ts';

/**
 * Adds the gradients of a scalar loss and returns them in the order of `wrt`, each of its value's shape.
 * Values that do not lie between `wrt` and the loss get no gradient computed.
 * @throws GraphError where the loss is not a scalar, or does not depend on one of `wrt`.
 */
export function backward(graph: Graph, loss: Value, wrt: readonly Value[]): Value[] {
  if (loss.shape.length !== 0) throw new GraphError(`the loss must be a scalar, received ${showShape(loss.shape)}`);
  const depends = new Set(wrt.map((value) => value.id));
  const last = graph.nodes.length;
  for (let id = 0; id < last; id++) {
    if (graph.node(id).inputs.some((input) => depends.has(input))) depends.add(id);
  }

  const gradients = new Map<number, Value>([[loss.id, graph.scalar(1)]]);
  for (let id = loss.id; id >= 0; id--) {
    const node = graph.node(id);
    const dy = gradients.get(id);
    if (!dy || !depends.has(id) || !node.inputs.some((input) => depends.has(input))) continue;
    gradientsOf(graph, node, dy).forEach((gradient, position) => {
      const input = node.inputs[position]!;
      if (!gradient || !depends.has(input)) return;
      const sum = gradients.get(input);
      gradients.set(input, sum ? graph.plus(sum, gradient) : gradient);
    });
  }

  return wrt.map((value) => {
    const gradient = gradients.get(value.id);
    if (gradient) return gradient;
    const name = value.op === 'parameter' || value.op === 'input' ? `'${value.attributes.name}'` : `node ${value.id}`;
    throw new GraphError(`the loss does not depend on ${name}`);
  });
}
