/** Progress of long work: a bar on a terminal, a line every few seconds elsewhere. Always on stderr: stdout is for results. */
import { SingleBar } from 'cli-progress';

/** Progress of one piece of work. */
export interface Progress {
  /** @param note What to show beside the bar, for example the loss. */
  update(done: number, note?: string): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  /** What was done before, by an earlier run. */
  readonly start?: number;
  /** Name of the unit, for the rate. */
  readonly unit: string;
}

const LINE_EVERY_MS = 15_000;

const duration = (seconds: number): string =>
  seconds >= 3600
    ? `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`
    : seconds >= 90
      ? `${Math.round(seconds / 60)} min`
      : `${Math.ceil(seconds)} s`;

/** Begins to show progress. @param now Milliseconds, monotonic. */
export function startProgress(
  { label, total, start = 0, unit }: ProgressOptions,
  now = () => performance.now(),
): Progress {
  const began = now();
  const status = (done: number) => {
    const rate = (done - start) / Math.max(1e-3, (now() - began) / 1000);
    return {
      rate: `${rate >= 10 ? rate.toFixed(0) : rate.toFixed(2)} ${unit}/s`,
      left: rate > 0 ? duration((total - done) / rate) : '?',
    };
  };
  if (!process.stderr.isTTY) {
    let printed = Number.NEGATIVE_INFINITY;
    return {
      update(done, note = '') {
        if (now() - printed < LINE_EVERY_MS && done < total) return;
        printed = now();
        const { rate, left } = status(done);
        process.stderr.write(`${label}  ${done}/${total}  ${rate}  ${left} left  ${note}\n`);
      },
      stop() {},
    };
  }
  const bar = new SingleBar({
    format: `${label.padEnd(16)} {bar} {value}/{total}  {rate}  {left} left  {note}`,
    hideCursor: true,
    stream: process.stderr,
  });
  bar.start(total, start, { rate: '', left: '?', note: '' });
  return {
    update: (done, note = '') => bar.update(done, { ...status(done), note }),
    stop: () => bar.stop(),
  };
}
