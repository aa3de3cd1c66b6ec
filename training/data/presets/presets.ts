/** Public datasets whose published files are read as they are. */
import type { Sources } from '../dataset.ts';
import { esci } from './esci.ts';
import { wands } from './wands.ts';

/** By the name that `data.preset` takes. */
export const PRESETS = { esci, wands } as const satisfies Record<string, (options: { folder: string }) => Sources>;
