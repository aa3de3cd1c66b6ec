/**
 * The thread that holds the matrix on the device: one graph, Gemm and TopK, whose constant is the rows. A run holds its
 * thread, so it is not the one that answers HTTP. It ends by itself on `close`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import onnxProto from 'onnx-proto';
import ort from 'onnxruntime-node';
import type { DeviceName } from '../encoder/encoder.ts';

/** What device-scan.ts starts it with. */
export interface ScanSettings {
  /** [count, dimension] float32 at unit length, row-major. */
  rows: SharedArrayBuffer;
  count: number;
  dimension: number;
  provider: DeviceName;
}

/** `queries` is [batch, dimension]. */
export type ToScan = { kind: 'search'; id: number; queries: Float32Array<ArrayBuffer>; k: number } | { kind: 'close' };
/** `positions` is [batch, k], the best first. */
export type FromScan =
  | { kind: 'ready' }
  | { kind: 'failed'; message: string }
  | { kind: 'found'; id: number; positions: Int32Array<ArrayBuffer> }
  | { kind: 'error'; id: number; message: string };

const port = parentPort;
// Errors go to whoever asked; the runtime would print them as well, bypassing the log.
ort.env.logLevel = 'fatal';
if (port === null) throw new Error('device-scan-worker.ts runs as a worker thread of device-scan.ts only.');
const { rows, count, dimension, provider } = workerData as ScanSettings;
const say = (message: FromScan, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const reason = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;

/** queries [batch, dimension] float32, k [1] int64 -> positions [batch, k] int64. On a GPU the product is in fp16. */
function scanGraph(): Uint8Array<ArrayBuffer> {
  const { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } = onnxProto.onnx;
  const { FLOAT, FLOAT16, INT64 } = TensorProto.DataType;
  const half = provider !== 'cpu';
  const matrix = new Float32Array(rows);
  const stored = half ? Float16Array.from(matrix) : matrix;
  const node = (opType: string, input: string[], output: string[], attributes: Record<string, number> = {}) =>
    NodeProto.create({
      opType,
      input,
      output,
      attribute: Object.entries(attributes).map(([name, i]) =>
        AttributeProto.create({ name, type: AttributeProto.AttributeType.INT, i }),
      ),
    });
  const info = (name: string, elemType: number, dims: (string | number)[]) =>
    ValueInfoProto.create({
      name,
      type: {
        tensorType: {
          elemType,
          shape: { dim: dims.map((dim) => (typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim })) },
        },
      },
    });
  const cast = (name: string, to: number, into: string) => (half ? [node('Cast', [name], [into], { to })] : []);
  const graph = GraphProto.create({
    name: 'scan',
    input: [info('queries', FLOAT, ['batch', dimension]), info('k', INT64, [1])],
    output: [info('positions', INT64, ['batch', 'best'])],
    initializer: [
      TensorProto.create({
        name: 'rows',
        dataType: half ? FLOAT16 : FLOAT,
        dims: [count, dimension],
        rawData: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength),
      }),
    ],
    node: [
      ...cast('queries', FLOAT16, 'queries_half'),
      node('Gemm', [half ? 'queries_half' : 'queries', 'rows'], [half ? 'product' : 'scores'], { transB: 1 }),
      ...cast('product', FLOAT, 'scores'),
      node('TopK', ['scores', 'k'], ['values', 'positions'], { axis: 1, largest: 1, sorted: 1 }),
    ],
  });
  const model = ModelProto.create({ irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph });
  return new Uint8Array(ModelProto.encode(model).finish());
}

try {
  const session = await ort.InferenceSession.create(scanGraph(), {
    executionProviders: [provider], // alone: one that this build lacks is refused, where beside another it would be left out
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { 'session.intra_op.allow_spinning': '0' },
  });
  let last = Promise.resolve();
  const search = async ({ id, queries, k }: Extract<ToScan, { kind: 'search' }>) => {
    try {
      const found = await session.run(
        {
          queries: new ort.Tensor('float32', queries, [queries.length / dimension, dimension]),
          k: new ort.Tensor('int64', BigInt64Array.of(BigInt(k)), [1]),
        },
        ['positions'],
      );
      const positions = Int32Array.from(found.positions!.data as BigInt64Array, Number);
      say({ kind: 'found', id, positions }, [positions.buffer]);
    } catch (error) {
      say({ kind: 'error', id, message: reason(error) });
    }
  };
  port.on('message', (message: ToScan) => {
    last = last.then(async () => {
      if (message.kind === 'search') return search(message);
      await session.release();
      port.close();
    });
  });
  say({ kind: 'ready' });
} catch (error) {
  say({ kind: 'failed', message: reason(error) });
  port.close();
}
