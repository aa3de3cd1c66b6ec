/**
 * As much of an ONNX file as running it takes: nodes, attributes, and where in the file the tensors lie. Nothing is copied.
 * Source: the ONNX IR (onnx.proto) and the wire format of Protocol Buffers.
 */
import { HarnessError } from '../../shared/problem.ts';

/** Element types of onnx.proto that a student's file has. */
export const FLOAT = 1;
export const INT8 = 3;
export const INT64 = 7;

/** A stored tensor: its bytes, little-endian and row-major, are a part of the file. */
export interface StoredTensor {
  type: number;
  dims: number[];
  offset: number;
  bytes: number;
}

export interface OnnxNode {
  op: string;
  inputs: string[];
  outputs: string[];
  /** Integers, floats and lists of integers by name. */
  attributes: Record<string, number | number[]>;
}

export interface OnnxGraph {
  nodes: OnnxNode[];
  tensors: Map<string, StoredTensor>;
}

/** A message's fields; `value` of a length-delimited field is where its bytes lie. */
interface Field {
  number: number;
  /** Of wire type 0 and 5. */
  value: number;
  /** Of wire type 2. */
  from: number;
  to: number;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** A varint and the position after it; negative ones have ten bytes, and two's complement. */
function varint(file: Uint8Array, at: number): [value: number, next: number] {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = file[at++];
    if (byte === undefined) throw new RangeError('it ends inside a number');
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [Number(BigInt.asIntN(64, value)), at];
  }
}

function* fields(file: Uint8Array, from: number, to: number): Generator<Field> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = from; at < to; ) {
    const [key, start] = varint(file, at);
    const field: Field = { number: key >>> 3, value: 0, from: start, to: start };
    const wire = key & 7;
    if (wire === VARINT) [field.value, at] = varint(file, start);
    else if (wire === FIXED32) [field.value, at] = [view.getFloat32(start, true), start + 4];
    else if (wire === FIXED64) at = start + 8;
    else if (wire === BYTES) {
      const [length, body] = varint(file, start);
      [field.from, field.to, at] = [body, body + length, body + length];
    } else throw new RangeError(`wire type ${wire} at byte ${at}`);
    if (at > to) throw new RangeError(`a field at byte ${start} goes past its message`);
    yield field;
  }
}

/** Repeated integers come one a field or packed. */
function integers(file: Uint8Array, { value, from, to }: Field): number[] {
  if (from === to) return [value];
  const values: number[] = [];
  for (let at = from; at < to; ) {
    const [each, next] = varint(file, at);
    values.push(each);
    at = next;
  }
  return values;
}

const text = (file: Uint8Array, { from, to }: Field) => new TextDecoder().decode(file.subarray(from, to));

function attribute(file: Uint8Array, { from, to }: Field): [name: string, value: number | number[]] {
  let name = '';
  let value: number | number[] = 0;
  const list: number[] = [];
  for (const field of fields(file, from, to)) {
    if (field.number === 1) name = text(file, field);
    else if (field.number === 2 || field.number === 3) value = field.value;
    else if (field.number === 8) list.push(...integers(file, field));
  }
  return [name, list.length > 0 ? list : value];
}

function node(file: Uint8Array, { from, to }: Field): OnnxNode {
  const read: OnnxNode = { op: '', inputs: [], outputs: [], attributes: {} };
  for (const field of fields(file, from, to)) {
    if (field.number === 1) read.inputs.push(text(file, field));
    else if (field.number === 2) read.outputs.push(text(file, field));
    else if (field.number === 4) read.op = text(file, field);
    else if (field.number === 5) {
      const [name, value] = attribute(file, field);
      read.attributes[name] = value;
    }
  }
  return read;
}

function tensor(file: Uint8Array, { from, to }: Field): [name: string, tensor: StoredTensor] {
  let name = '';
  const read: StoredTensor = { type: 0, dims: [], offset: 0, bytes: 0 };
  for (const field of fields(file, from, to)) {
    if (field.number === 1) read.dims.push(...integers(file, field));
    else if (field.number === 2) read.type = field.value;
    else if (field.number === 8) name = text(file, field);
    else if (field.number === 9) [read.offset, read.bytes] = [field.from, field.to - field.from];
  }
  return [name, read];
}

/** Reads a model file; throws `bundle_damaged` for what is no ONNX. */
export function readOnnx(file: Uint8Array): OnnxGraph {
  const graph: OnnxGraph = { nodes: [], tensors: new Map() };
  try {
    for (const part of fields(file, 0, file.byteLength)) {
      if (part.number !== 7) continue;
      for (const field of fields(file, part.from, part.to)) {
        if (field.number === 1) graph.nodes.push(node(file, field));
        else if (field.number === 5) graph.tensors.set(...tensor(file, field));
      }
    }
  } catch (cause) {
    throw new HarnessError('bundle_damaged', `student.onnx: expected an ONNX model: ${(cause as Error).message}.`, {
      cause,
    });
  }
  return graph;
}
