/** A progress line of a phase: smoothed loss, rate and time left. */
import { startProgress } from '../progress.ts';
import type { Report } from '../runner/step.ts';

export function followTraining(label: string, total: number) {
  let progress: ReturnType<typeof startProgress> | undefined;
  let smooth = 0;
  return {
    onStep(step: number, { loss, learningRate }: Report) {
      progress ??= startProgress({ label, total, start: step - 1, unit: 'steps' });
      smooth = smooth === 0 ? loss : 0.95 * smooth + 0.05 * loss;
      progress.update(step, `loss ${smooth.toFixed(4)}  rate ${learningRate.toExponential(1)}`);
    },
    stop: () => progress?.stop(),
  };
}
