/**
 * The model that is served, and its exchange for what is now in the bundle's folder: opened, checked and warmed beside
 * the one that serves, and taken over between two requests. Vectors of different spaces are never compared, so a bundle
 * of another space is not taken: the ads would have to change at the same moment.
 */
import { HarnessError } from '../../shared/problem.ts';
import { type Bundle, loadBundle } from './bundle.ts';
import type { Encoder } from './encoder.ts';
import { swappableEncoder } from './swappable.ts';

export interface ServedModel {
  /** Of the newest bundle, always. */
  readonly encoder: Encoder;
  readonly bundle: Bundle;
  /**
   * Takes what the folder holds now; false when that is what is served. `prepare` reads what else belongs to a bundle
   * and answers what takes it into use. Throws `conflict` while another exchange runs, `space_mismatch`, and what
   * opening a bundle throws; whatever is thrown, the previous model continues.
   */
  reload(prepare: (next: Bundle) => Promise<() => void>): Promise<boolean>;
}

/** Opens the bundle in `dir`; `open` starts a warm encoder of one. */
export async function openServedModel(options: {
  dir: string;
  open: (bundle: Bundle) => Promise<Encoder>;
}): Promise<ServedModel> {
  const { dir, open } = options;
  let bundle = await loadBundle(dir);
  const encoder = swappableEncoder(await open(bundle));
  let busy = false;

  const exchange = async (prepare: (next: Bundle) => Promise<() => void>): Promise<boolean> => {
    const next = await loadBundle(dir);
    const { name, spaceId } = next.manifest;
    if (JSON.stringify(next.manifest) === JSON.stringify(bundle.manifest)) return false;
    if (spaceId !== bundle.manifest.spaceId) {
      throw new HarnessError(
        'space_mismatch',
        `${name} in ${dir} lives in embedding space ${spaceId}, ${bundle.manifest.name} and its generation in ${bundle.manifest.spaceId}: ` +
          'start another backend with that bundle and a data folder of its own, build a generation there (POST /v1/generations), then send the edges to it.',
      );
    }
    const takeIntoUse = await prepare(next);
    const warm = await open(next);
    const drained = encoder.swap(warm);
    bundle = next;
    takeIntoUse();
    await drained;
    return true;
  };

  return {
    encoder,
    get bundle() {
      return bundle;
    },
    async reload(prepare) {
      if (busy) throw new HarnessError('conflict', 'Another exchange of the model is running; wait for it to finish.');
      busy = true;
      try {
        return await exchange(prepare);
      } finally {
        busy = false;
      }
    },
  };
}
