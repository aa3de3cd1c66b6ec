/** What a graph refuses, and what it shares. */
import { describe, expect, it } from 'vitest';
import { backward } from '../../../training/graph/backward.ts';
import { Graph, reachable, verify } from '../../../training/graph/graph.ts';
import { broadcast, GraphError, productOf } from '../../../training/graph/shapes.ts';

describe('shapes', () => {
  it('multiplies symbolic lengths into one canonical name', () => {
    expect(productOf([256, 'tokens', 2])).toBe('512*tokens');
    expect(productOf(['tokens', 'batch'])).toBe(productOf(['batch', 'tokens']));
    expect(productOf(['512*tokens', 2])).toBe('1024*tokens');
    expect(productOf([3, 4])).toBe(12);
    expect(productOf([])).toBe(1);
  });

  it('broadcasts a symbol against itself and 1 only', () => {
    expect(broadcast(['batch', 1, 4], ['tokens', 1])).toEqual(['batch', 'tokens', 4]);
    expect(() => broadcast(['batch'], ['tokens'])).toThrow(GraphError);
    expect(() => broadcast(['batch'], [2])).toThrow('do not broadcast');
  });

  it.each<[string, (g: Graph) => unknown, string]>([
    ['matmul', (g) => g.matmul(g.parameter('a', [2, 3]), g.parameter('b', [4, 5])), 'inner lengths 3 and 4 differ'],
    ['reshape', (g) => g.reshape(g.parameter('a', ['n', 3]), [3, 'm']), 'cannot reshape [n, 3] to [3, m]'],
    ['gather', (g) => g.gather(g.parameter('a', [2, 3]), g.parameter('b', [2])), 'expected integer indices'],
    ['concat', (g) => g.concat([g.parameter('a', [2, 3]), g.parameter('b', [2, 4])], 0), 'cannot concatenate'],
    ['slice', (g) => g.slice(g.parameter('a', [2, 3]), 1, [2, 5]), 'outside axis 1'],
    ['mixed types', (g) => g.plus(g.parameter('a', [2]), g.parameter('b', [2], 'int64')), 'differ in type'],
  ])('refuses a wrong %s, naming what came', (_, build, message) => {
    expect(() => build(new Graph())).toThrow(message);
  });
});

describe('graph', () => {
  it('computes equal expressions once', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    expect(g.apply('exp', g.times(x, 2))).toBe(g.apply('exp', g.times(x, 2)));
    expect(g.times(x, 2)).not.toBe(g.times(x, 3));
  });

  it('keeps only what the outputs need', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    g.apply('exp', x);
    g.output('y', g.apply('neg', x));
    expect(reachable(g).map((node) => node.op)).toEqual(['input', 'neg']);
  });

  it('refuses operands of another graph', () => {
    const x = new Graph().input('x', 'float32', [2]);
    expect(() => new Graph().apply('neg', x)).toThrow('another graph');
  });

  it.each<[string, (g: Graph) => void, string]>([
    ['no output', (g) => g.input('x', 'float32', [2]), 'no output'],
    [
      'a name used twice',
      (g) => g.output('y', g.plus(g.input('x', 'float32', [2]), g.parameter('x', [1]))),
      "the name 'x' is taken",
    ],
    [
      'a type that does not follow',
      (g) => {
        const y = g.apply('neg', g.input('x', 'float32', [2]));
        g.output('y', y);
        (y as { shape: readonly number[] }).shape = [3];
      },
      'inferred [2]',
    ],
    [
      'a value used before it exists',
      (g) => {
        const y = g.apply('neg', g.input('x', 'float32', [2]));
        g.output('y', y);
        (y as { inputs: readonly number[] }).inputs = [1];
      },
      'comes later',
    ],
  ])('the verifier refuses %s', (_, build, message) => {
    const g = new Graph();
    build(g);
    expect(() => verify(g)).toThrow(message);
  });
});

describe('backward', () => {
  it('adds the gradients of a value that is used twice', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    const [dx] = backward(g, g.sum(g.plus(g.times(x, x), x), [0]), [x]);
    expect(dx!.shape).toEqual([2]);
  });

  it('needs a scalar loss that depends on what is asked for', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    expect(() => backward(g, x, [x])).toThrow('must be a scalar');
    expect(() => backward(g, g.sum(x, [0]), [g.parameter('w', [2])])).toThrow("does not depend on 'w'");
  });

  it('refuses to go through an operator for inference', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2, 3]);
    const y = g.add('matmulInt8', [x, g.parameter('w', [3, 4], 'int8'), g.parameter('s', [4])], {});
    expect(() => backward(g, g.sum(y, [0, 1]), [x])).toThrow('inference only');
  });
});
