/**
 * ONNX protobuf messages (ModelProto, GraphProto, TensorProto) in the few shapes that emission needs, and their encoding.
 * Source: the ONNX IR specification, https://github.com/onnx/onnx/blob/main/docs/IR.md; message classes from `onnx-proto`.
 */
import onnxProto from 'onnx-proto';
import { HarnessError } from '../../shared/problem.ts';
import type { Dim, DType, Shape } from '../graph/ops.ts';

const { onnx } = onnxProto;
type INode = InstanceType<typeof onnx.NodeProto>;
export type GraphProto = InstanceType<typeof onnx.GraphProto>;

/** Opset 20 is the first with Gelu, 18 with reductions whose axes are an operand; IR 9 carries it. Attention came with 23, and IR 11. */
const PLAIN = { opset: 20, irVersion: 9 };
const WITH_ATTENTION = { opset: 23, irVersion: 11 };

/** Arrays that hold the values of a tensor. */
export type TypedArray = Float32Array | Float16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

/** A tensor's values on the host, row-major. */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

const ELEMENT_TYPE: Record<DType, number> = {
  float32: onnx.TensorProto.DataType.FLOAT,
  float16: onnx.TensorProto.DataType.FLOAT16,
  int64: onnx.TensorProto.DataType.INT64,
  int32: onnx.TensorProto.DataType.INT32,
  int8: onnx.TensorProto.DataType.INT8,
  uint8: onnx.TensorProto.DataType.UINT8,
  bool: onnx.TensorProto.DataType.BOOL,
};

/** ONNX's number for an element type. */
export const elementType = (dtype: DType): number => ELEMENT_TYPE[dtype];

/** A tensor without its values: they lie beside the model, under its name, and whoever opens a session hands them over. */
export function externalTensorProto(name: string, { dtype, shape, data }: TensorData) {
  const external = { location: name, offset: '0', length: String(data.byteLength) };
  return onnx.TensorProto.create({
    name,
    dims: [...shape],
    dataType: ELEMENT_TYPE[dtype],
    dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
    externalData: Object.entries(external).map(([key, value]) => ({ key, value })),
  });
}

/** Values of a literal as the array that holds its element type. */
export function typedArray(dtype: DType, values: readonly number[]): TypedArray {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'float16':
      return Float16Array.from(values);
    case 'int64':
      return BigInt64Array.from(values, BigInt);
    case 'int32':
      return Int32Array.from(values);
    case 'int8':
      return Int8Array.from(values);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
  }
}

/** A named tensor with its values. */
export function tensorProto(name: string, { dtype, shape, data }: TensorData) {
  return onnx.TensorProto.create({
    name,
    dims: [...shape],
    dataType: ELEMENT_TYPE[dtype],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
}

/** Type and shape of an input or output; a named length is symbolic. */
export function valueInfo(name: string, dtype: DType, shape: Shape) {
  const dim = (length: Dim) => (typeof length === 'number' ? { dimValue: length } : { dimParam: length });
  return onnx.ValueInfoProto.create({
    name,
    type: { tensorType: { elemType: ELEMENT_TYPE[dtype], shape: { dim: shape.map(dim) } } },
  });
}

/** Attribute values that occur: integers, lists of integers, strings, floats (wrapped, as JavaScript has one number type), and the body of a Scan. */
export type NodeAttribute =
  | number
  | readonly number[]
  | string
  | { readonly float: number }
  | { readonly graph: GraphProto };

function attributeProto(name: string, value: NodeAttribute) {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if ('graph' in value) return { name, type: AttributeType.GRAPH, g: value.graph };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

/** A node as emission says it. */
export interface NodeDescription {
  readonly type: string;
  /** Names of operands; '' leaves an optional one out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, NodeAttribute>>;
}

/** A node, named after its first output. */
export function nodeProto({ type, inputs, outputs, attributes = {} }: NodeDescription): INode {
  return onnx.NodeProto.create({
    opType: type,
    name: outputs.find((name) => name !== '') ?? '',
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
  });
}

export interface GraphParts {
  readonly name: string;
  readonly nodes: readonly INode[];
  readonly inputs: readonly ReturnType<typeof valueInfo>[];
  readonly outputs: readonly ReturnType<typeof valueInfo>[];
  readonly initializers: readonly ReturnType<typeof tensorProto>[];
}

/** A graph: a model's, or the body of an operator. */
export function graphProto({ name, nodes, inputs, outputs, initializers }: GraphParts): GraphProto {
  return onnx.GraphProto.create({
    name,
    node: [...nodes],
    input: [...inputs],
    output: [...outputs],
    initializer: [...initializers],
  });
}

/** Protobuf messages end here. */
const MOST_BYTES = 2 ** 31 - 1;

/** The bytes of a model file; the same graph gives the same bytes. @throws HarnessError where they would be 2 GB or more. */
export function encodeModel(graph: GraphProto): Uint8Array<ArrayBuffer> {
  const bytes = graph.initializer.reduce((sum, { rawData }) => sum + (rawData?.length ?? 0), 0);
  if (bytes > MOST_BYTES)
    throw new HarnessError(
      'configuration',
      `model '${graph.name}': expected at most 2 GB of weights in a file, received ${bytes} bytes; write it in int8 or fp16.`,
    );
  const { opset, irVersion } = graph.node.some(({ opType }) => opType === 'Attention') ? WITH_ATTENTION : PLAIN;
  const model = onnx.ModelProto.create({
    irVersion,
    producerName: 'harness',
    opsetImport: [{ domain: '', version: opset }],
    graph,
  });
  return Uint8Array.from(onnx.ModelProto.encode(model).finish());
}
