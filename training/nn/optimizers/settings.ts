/** Settings of optimization, as a configuration says them, and what they stand for. */
import { adamW } from './adamw.ts';
import { lion } from './lion.ts';
import { muon } from './muon.ts';
import type { Optimizer } from './optimizer.ts';
import type { ScheduleName } from './schedule.ts';

interface SharedSettings {
  /** Peak learning rate, reached after the warm-up. */
  readonly learningRate: number;
  /** Updates in which the rate rises from 0. */
  readonly warmupSteps: number;
  /** How the rate falls after the warm-up; default `linear`. */
  readonly schedule?: ScheduleName | undefined;
  /** Rate of the last update, as a share of the peak. */
  readonly finalRate: number;
  /** Share of all updates in which schedule `wsd` decays; default 0.1. */
  readonly decayShare?: number | undefined;
  /** Decoupled; biases and gains are never decayed. */
  readonly weightDecay: number;
  /** Largest global norm of a gradient. */
  readonly clipNorm: number;
  /** Batches an update, their gradients averaged; default 1. */
  readonly accumulate?: number | undefined;
  /** Decay of the exponential moving average of the parameters, which is what training then gives; 0 (default) keeps none. */
  readonly ema?: number | undefined;
}

interface AdamMoments {
  /** Share of the momentum that is kept. */
  readonly beta1: number;
  /** Share of the mean square of the gradient that is kept. */
  readonly beta2: number;
  /** Added to the root of the mean square. */
  readonly epsilon: number;
}

export interface AdamWSettings extends SharedSettings, AdamMoments {
  readonly optimizer?: 'adamw' | undefined;
}

export interface LionSettings extends SharedSettings {
  readonly optimizer: 'lion';
  /** Share of the momentum in the direction of a step; 0.9 as published. */
  readonly beta1: number;
  /** Share of the momentum that is kept; 0.99 as published. */
  readonly beta2: number;
}

export interface MuonSettings extends SharedSettings, AdamMoments {
  readonly optimizer: 'muon';
  /** Share of the momentum that is kept for weight matrices; 0.95 as published. Tables, biases and gains take AdamW with the moments given. */
  readonly momentum: number;
}

/** The optimizer by name (default `adamw`), with what it needs. */
export type OptimizerSettings = AdamWSettings | LionSettings | MuonSettings;

/** The optimizer that the settings name. */
export function optimizerOf(settings: OptimizerSettings): Optimizer {
  switch (settings.optimizer) {
    case 'lion':
      return lion(settings);
    case 'muon':
      return muon(settings);
    default:
      return adamW(settings);
  }
}
