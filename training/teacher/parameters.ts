/** From a checkpoint's tensors to parameters in the layout of nn/: float32, dense weights as [in, out]. */
import { HarnessError } from '../../shared/problem.ts';
import { type SafeTensor, toFloat32 } from '../../shared/safetensors.ts';
import type { TensorData } from '../onnx/model.ts';

/** [out, in] -> [in, out]. */
function transposed(values: Float32Array, [rows, columns]: readonly [number, number]): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j]!;
  return result;
}

/** Takes parameters one by one, each checked by its shape. Methods throw HarnessError naming a missing or misshapen tensor. */
export class ParameterReader {
  readonly parameters = new Map<string, TensorData>();
  readonly #tensors: ReadonlyMap<string, SafeTensor>;
  readonly #prefix: string;
  readonly #where: string;

  /** @param prefix what the checkpoint puts before the names of nn/. */
  constructor(
    tensors: ReadonlyMap<string, SafeTensor>,
    { prefix, where }: { readonly prefix: string; readonly where: string },
  ) {
    this.#tensors = tensors;
    this.#prefix = prefix;
    this.#where = where;
  }

  /** The values of a tensor, whatever floating type they are stored in; the file's own memory where that is float32. */
  read(name: string, shape: readonly number[]): Float32Array {
    const full = this.#prefix + name;
    const tensor = this.#tensors.get(full);
    if (!tensor || tensor.shape.join() !== shape.join()) {
      const found = tensor ? `[${tensor.shape.join(', ')}]` : 'none';
      throw new HarnessError(
        'bundle_damaged',
        `${this.#where}: tensor ${full}: expected [${shape.join(', ')}], found ${found}.`,
      );
    }
    return toFloat32(tensor);
  }

  set(name: string, shape: readonly number[], data: Float32Array): void {
    this.parameters.set(name, { dtype: 'float32', shape, data });
  }

  keep(name: string, shape: readonly number[]): void {
    this.set(name, shape, Float32Array.from(this.read(name, shape)));
  }

  /** The weight of a product, stored [outputs, inputs]. */
  product(name: string, [inputs, outputs]: readonly [number, number]): void {
    this.set(
      `${name}.weight`,
      [inputs, outputs],
      transposed(this.read(`${name}.weight`, [outputs, inputs]), [outputs, inputs]),
    );
  }
}
