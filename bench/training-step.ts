/**
 * The training step against what the machine can do: the rate of its matrix products as ONNX Runtime computes them, one alignment step, and
 * the same step in PyTorch, all in turn in one run on the same threads.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { median } from 'simple-statistics';
import { seeded } from '../training/data/seeded.ts';
import { Graph, reachable } from '../training/graph/graph.ts';
import type { Dim } from '../training/graph/ops.ts';
import type { EncoderConfig, EncoderShape } from '../training/nn/encoder.ts';
import { initialWeights } from '../training/nn/initial.ts';
import { emitModel } from '../training/onnx/emit.ts';
import type { TensorData } from '../training/onnx/model.ts';
import { alignmentStep } from '../training/phases/align.ts';
import { CpuRunner } from '../training/runner/cpu.ts';
import { bounded, type Row } from './row.ts';

const SPEC = { layers: 4, hidden: 384, heads: 12, inner: 1536, words: 30_522, batch: 256, tokens: 16 } as const;
const ROUNDS = { quick: 3, full: 15 };
const WARM_UP = 2;

/** Floating-point operations of a graph's matrix products, with a value for each symbolic length. */
function productFlops(graph: Graph, lengths: Readonly<Record<string, number>>): number {
  const size = (dim: Dim) =>
    String(dim)
      .split('*')
      .reduce((product, factor) => product * (lengths[factor] ?? Number(factor)), 1);
  return reachable(graph).reduce((sum, node) => {
    if (node.op !== 'matmul') return sum;
    const inner = graph.node(node.inputs[0]!).shape.at(node.attributes.transA ? -2 : -1)!;
    return sum + 2 * node.shape.reduce<number>((product, dim) => product * size(dim), 1) * size(inner);
  }, 0);
}

interface Work {
  readonly flops: number;
  /** Does it once and returns milliseconds. */
  readonly time: () => Promise<number>;
  readonly close: () => Promise<void>;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** The products of one layer's dense maps, forwards, and nothing else; in one session, because the threads of several get in each other's way. */
async function products(threads: number): Promise<Work> {
  const { hidden, inner, batch, tokens } = SPEC;
  const rows = batch * tokens;
  const square = [hidden, hidden] as const;
  const sizes = [square, square, square, square, [hidden, inner], [inner, hidden]] as const;
  const random = seeded('products');
  const graph = new Graph();
  const feeds: Record<string, Tensor> = {};
  const matrix = (name: string, shape: readonly [number, number]) => {
    const values = Float32Array.from({ length: shape[0] * shape[1] }, () => random() - 0.5);
    feeds[name] = new Tensor('float32', values, shape);
    return graph.input(name, 'float32', shape);
  };
  sizes.forEach(([k, n], i) => {
    const product = graph.matmul(matrix(`a${i}`, [rows, k]), matrix(`b${i}`, [k, n]));
    // One row comes out, so that copying is no part of the time.
    graph.output(`y${i}`, graph.slice(product, 0, [0, 1]));
  });
  const session = await InferenceSession.create(emitModel(graph, { name: 'products' }), { intraOpNumThreads: threads });
  return {
    flops: productFlops(graph, {}),
    time: () => timed(() => session.run(feeds)),
    close: () => session.release(),
  };
}

/** One alignment step, AdamW and clipping included, word table frozen. */
async function alignment(threads: number): Promise<Work> {
  const { layers, hidden, heads, inner, words, batch, tokens } = SPEC;
  const config: EncoderConfig = {
    model_type: 'bert',
    vocab_size: words,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: inner,
    max_position_embeddings: 64,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    hidden_act: 'gelu',
    position_embedding_type: 'absolute',
    pad_token_id: 0,
  };
  const shape: EncoderShape = { config, pooling: { mode: 'mean', normalize: true } };
  const settings = {
    steps: 1000,
    batch,
    learningRate: 1e-4,
    warmupSteps: 1,
    finalRate: 1,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-6,
    clipNorm: 1,
    trainWords: false,
    checkpointEvery: 1000,
  };
  const compiled = alignmentStep({ student: { ...shape, weights: initialWeights(shape, 1) }, settings });
  const random = seeded('batch');
  const target = Float32Array.from({ length: batch * hidden }, () => (random() - 0.5) / Math.sqrt(hidden / 12));
  const inputs = new Map<string, TensorData>([
    [
      'input_ids',
      {
        dtype: 'int64',
        shape: [batch, tokens],
        data: BigInt64Array.from({ length: batch * tokens }, () =>
          BigInt(1000 + Math.floor(random() * (words - 1000))),
        ),
      },
    ],
    ['attention_mask', { dtype: 'int64', shape: [batch, tokens], data: new BigInt64Array(batch * tokens).fill(1n) }],
    ['target', { dtype: 'float32', shape: [batch, hidden], data: target }],
  ]);
  const runner = await CpuRunner.open(compiled, { threads });
  return {
    flops: productFlops(compiled.graph, { tokens }),
    time: () => timed(() => runner.run(inputs)),
    close: () => runner.close(),
  };
}

/** PyTorch's step in a child process that works only when asked; every variant that runs here counts. */
class TorchPeer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly times = new Map<string, number[]>();
  readonly failures: string[] = [];

  constructor(python: string, threads: number) {
    const program = join(import.meta.dirname, 'peers/training_step.py');
    this.#child = spawn(python, [program, JSON.stringify({ ...SPEC, threads })]);
    this.#child.stderr.resume();
    // A python that is not there ends the lines as one without torch does.
    this.#child.on('error', () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async #answer(): Promise<Record<string, unknown> | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : (JSON.parse(value) as Record<string, unknown>);
  }

  /** PyTorch's version, or `undefined` where it is not there. */
  async open(): Promise<string | undefined> {
    const answer = await this.#answer();
    for (const variant of (answer?.variants ?? []) as string[]) this.times.set(variant, []);
    return answer?.torch as string | undefined;
  }

  /** One step of each variant; one that fails is left out from then on. */
  async round(steps: number): Promise<void> {
    for (const [variant, times] of this.times) {
      this.#child.stdin.write(`${variant} ${steps}\n`);
      const answer = await this.#answer();
      if (Array.isArray(answer?.ms)) times.push(...(answer.ms as number[]));
      else {
        this.failures.push(`${variant}: ${answer?.failed ?? 'the process ended'}`);
        this.times.delete(variant);
      }
    }
  }

  close(): void {
    this.#child.stdin.end();
  }
}

async function openPeer(threads: number, say: (line: string) => void): Promise<TorchPeer | undefined> {
  const python = process.env.HARNESS_PEERS_PYTHON;
  if (!python) {
    say('PyTorch is not measured: set HARNESS_PEERS_PYTHON to a python with torch (pip install torch)');
    return undefined;
  }
  const peer = new TorchPeer(python, threads);
  const version = await peer.open();
  if (version) say(`PyTorch ${version} with ${threads} threads`);
  else say(`PyTorch is not measured: ${python} has no torch (pip install torch)`);
  return version ? peer : undefined;
}

export async function trainingStep(options: { quick: boolean; say: (line: string) => void }): Promise<Row[]> {
  const { quick, say } = options;
  const threads = availableParallelism();
  const [product, step, peer] = [await products(threads), await alignment(threads), await openPeer(threads, say)];
  const [productMs, stepMs]: [number[], number[]] = [[], []];
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  for (let round = -WARM_UP; round < rounds; round++) {
    const [a, b] = [await product.time(), await step.time()];
    // The first rounds touch memory for the first time and compile.
    if (round < 0) await peer?.round(0);
    else {
      productMs.push(a);
      stepMs.push(b);
      await peer?.round(1);
    }
    say(`round ${round + 1} of ${rounds}: products ${a.toFixed(0)} ms, step ${b.toFixed(0)} ms`);
  }
  await product.close();
  await step.close();
  peer?.close();
  for (const failure of peer?.failures ?? []) say(`PyTorch variant left out: ${failure}`);

  const gflops = (flops: number, ms: number) => flops / ms / 1e6;
  const rate = gflops(product.flops, median(productMs));
  const reached = gflops(step.flops, median(stepMs));
  const torch = [...(peer?.times ?? [])].map(([variant, times]) => ({ variant, ms: median(times) }));
  const best = torch.toSorted((a, b) => a.ms - b.ms)[0];
  return [
    { metric: 'matrix products, median', value: rate, unit: 'GFLOP/s' },
    { metric: 'matrix products, best', value: gflops(product.flops, Math.min(...productMs)), unit: 'GFLOP/s' },
    { metric: 'products of a training step', value: step.flops / 1e9, unit: 'GFLOP' },
    { metric: 'training step, median', value: median(stepMs), unit: 'ms' },
    { metric: 'training step, rate', value: reached, unit: 'GFLOP/s' },
    bounded('training step / matrix products', reached / rate, 'ratio', ['>=', 0.6]),
    ...torch.map(({ variant, ms }) => ({ metric: `PyTorch ${variant}, median`, value: ms, unit: 'ms' })),
    ...(best ? [bounded('training step / PyTorch, best variant', median(stepMs) / best.ms, 'ratio', ['<=', 1])] : []),
  ];
}
