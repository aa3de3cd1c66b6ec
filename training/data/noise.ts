/**
 * Noise for training: a text is shown as somebody in a hurry types it, while its target stays that of the clean one. So
 * the encoder learns to read past typos, and to recognise a description by any part of it.
 */
import { withTypo } from './typos.ts';

/** How often which noise; absent is never. */
export interface Noise {
  /** Share of the texts shown with a typo (typos.ts). */
  readonly typos?: number | undefined;
  /** Share of the texts of `FEWEST` words and more shown without one of their words. */
  readonly dropped?: number | undefined;
}

/** Shorter texts keep every word: without one they ask for something else. */
const FEWEST = 4;

/** A text without one of its words; a short one as it is. @param random Uniform in [0, 1). */
export function withoutWord(text: string, random: () => number): string {
  const words = text.split(' ');
  return words.length < FEWEST ? text : words.toSpliced(Math.floor(random() * words.length), 1).join(' ');
}

/** The text with noise, or as it is. @param random Uniform in [0, 1). */
export function withNoise(text: string, { typos = 0, dropped = 0 }: Noise, random: () => number): string {
  const fewer = dropped > 0 && random() < dropped ? withoutWord(text, random) : text;
  return typos > 0 && random() < typos ? withTypo(fewer, random) : fewer;
}
