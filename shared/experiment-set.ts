/** What must hold between experiments that run at the same time; a set that breaks it is refused whole. */
import type { Experiment } from './experiment.ts';

const overlaps = ([a, b]: readonly [number, number], [c, d]: readonly [number, number]) => a < d && c < b;
const name = ({ key, buckets: [from, to] }: Experiment) => `${key} [${from}, ${to})`;

/** Why the running ones of these experiments cannot run together, in one sentence; `undefined` when they can. */
export function conflict(experiments: readonly Experiment[]): string | undefined {
  const running = experiments.filter(({ status }) => status === 'running');
  for (const [i, a] of running.entries()) {
    for (const b of running.slice(i + 1)) {
      const reason = a.key === b.key ? `Two experiments are called ${a.key}.` : between(a, b);
      if (reason !== undefined) return reason;
    }
  }
  return undefined;
}

function between(a: Experiment, b: Experiment): string | undefined {
  const both = `running experiments ${name(a)} and ${name(b)}`;
  if (a.layer === b.layer) {
    if ((a.diversion ?? 'user') !== (b.diversion ?? 'user'))
      return `Layer ${a.layer}: ${both} divert by ${a.diversion ?? 'user'} and by ${b.diversion ?? 'user'}; expected one diversion a layer.`;
    if (a.domain?.key !== b.domain?.key)
      return `Layer ${a.layer}: ${both} lie in domains ${a.domain?.key ?? 'none'} and ${b.domain?.key ?? 'none'}; expected one domain a layer.`;
    if (overlaps(a.buckets, b.buckets))
      return `Layer ${a.layer}: ${both} overlap; give them disjoint buckets, or stop one.`;
  } else if (a.kind === 'interleaving' && b.kind === 'interleaving') {
    return `${both} interleave in layers ${a.layer} and ${b.layer}; expected one layer, since a page can be merged once.`;
  }
  if (a.domain === undefined || b.domain === undefined) return undefined;
  if (a.domain.key === b.domain.key) {
    if (a.domain.buckets.join() !== b.domain.buckets.join())
      return `Domain ${a.domain.key}: ${both} give it [${a.domain.buckets}) and [${b.domain.buckets}); expected one range.`;
  } else if (overlaps(a.domain.buckets, b.domain.buckets)) {
    return `Domains ${a.domain.key} and ${b.domain.key} of ${both} overlap; give them disjoint buckets.`;
  }
  return undefined;
}
