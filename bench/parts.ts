/** A measurement of several parts, of which `--only` makes one. */
import type { Bench, Outcome } from './row.ts';

/** One after the other, in their order; their details are put together. */
export function inParts(parts: Readonly<Record<string, Bench>>): Bench {
  const all: Bench = async ({ quick, only, say }) => {
    const outcomes: Outcome[] = [];
    for (const [name, part] of Object.entries(parts)) {
      if (only !== undefined && only !== name) continue;
      say(name);
      outcomes.push(await part({ quick, say }));
    }
    const details = outcomes.flatMap(({ detail }) => (detail === undefined ? [] : [detail]));
    return {
      rows: outcomes.flatMap(({ rows }) => rows),
      ...(details.length > 0 && { detail: Object.assign({}, ...details) }),
    };
  };
  return Object.assign(all, { parts: Object.keys(parts) });
}
