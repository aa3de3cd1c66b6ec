/** One progress bar for every long job of the command lines: share, count, rate and time left; silent when not on a terminal. */
import cliProgress from 'cli-progress';

export interface Progress {
  update(done: number, total: number, note?: string): void;
  stop(): void;
}

/** A bar counting `unit`s, on standard error. */
export function progressBar(unit: string): Progress {
  const bar = new cliProgress.SingleBar(
    {
      format: `{bar} {percentage}% | {value}/{total} ${unit} | {eta_formatted} left {note}`,
      stream: process.stderr,
      barsize: 30,
      hideCursor: true,
      clearOnComplete: true,
    },
    cliProgress.Presets.shades_classic,
  );
  let started = false;
  return {
    update(done, total, note = '') {
      if (!process.stderr.isTTY) return;
      if (!started) bar.start(total, done, { note });
      else bar.update(done, { note });
      started = true;
    },
    stop() {
      if (started) bar.stop();
      started = false;
    },
  };
}
