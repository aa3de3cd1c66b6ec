/** What an optimizer is: a rule, as graph nodes, from a parameter, its gradient and its state to the next parameter and state. */
import type { Graph, NodeOf, Value } from '../../graph/graph.ts';

/** A named tensor: the name and shape tell an optimizer what kind of parameter it has. */
export type Named = NodeOf<'parameter'> | NodeOf<'input'>;

/** What an optimizer sees of one parameter; `rate`, `step` (from 1) and `clip` (factor on the gradient) are shared scalars. */
export interface UpdateInputs {
  readonly parameter: Named;
  readonly gradient: Value;
  /** The parameter's state, by slot, each of its shape. */
  readonly slots: Readonly<Record<string, Value>>;
  readonly rate: Value;
  readonly step: Value;
  readonly clip: Value;
  /** False for biases and gains. */
  readonly decays: boolean;
}

/** An update rule, and the state it keeps. */
export interface Optimizer {
  /** Names of the state kept for a parameter; zero before the first step. */
  readonly slots: (parameter: Named) => readonly string[];
  readonly update: (g: Graph, inputs: UpdateInputs) => { parameter: Value; slots: Readonly<Record<string, Value>> };
}

/** Decoupled weight decay (Loshchilov and Hutter, 2019): parameter (1 - rate weightDecay), where the parameter decays. */
export function decayed(
  g: Graph,
  { parameter, rate, decays }: Pick<UpdateInputs, 'parameter' | 'rate' | 'decays'>,
  weightDecay: number,
): Value {
  return decays && weightDecay > 0 ? g.times(parameter, g.minus(1, g.times(rate, weightDecay))) : parameter;
}
