/** What a benchmark returns, and how it is printed. */

export interface Row {
  metric: string;
  value: number;
  unit: string;
  /** As a reader would say it, for example `>= 0.95`. */
  target?: string;
  /** Whether the target is met; absent where there is none. */
  ok?: boolean;
}

export interface Outcome {
  rows: Row[];
  /** Anything else worth keeping beside the numbers, such as single answers. */
  detail?: unknown;
}

export interface Bench {
  (options: {
    quick: boolean;
    /** The one of `parts` to measure; absent, all. */
    only?: string | undefined;
    say: (line: string) => void;
  }): Promise<Outcome>;
  /** What `only` may name; absent where there is nothing to choose from. */
  readonly parts?: readonly string[];
}

/** A row whose target is a bound. */
export function bounded(metric: string, value: number, unit: string, [relation, bound]: ['>=' | '<=', number]): Row {
  return {
    metric,
    value,
    unit,
    target: `${relation} ${bound}`,
    ok: relation === '>=' ? value >= bound : value <= bound,
  };
}

const shown = (value: number) =>
  Number.isInteger(value) ? String(value) : Math.abs(value) >= 100 ? value.toFixed(1) : value.toPrecision(4);

/** Aligned columns for a terminal. */
export function table(rows: readonly Row[]): string {
  const cells = [
    ['metric', 'value', 'unit', 'target', 'ok'],
    ...rows.map(({ metric, value, unit, target = '', ok }) => [
      metric,
      shown(value),
      unit,
      target,
      ok === undefined ? '' : ok ? 'yes' : 'NO',
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, i) => (i === 1 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
