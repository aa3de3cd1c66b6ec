import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { planFor, planTable } from '../../scripts/plan-table.ts';
import { experimentOf } from '../fixtures/experiment-traffic.ts';

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, ['scripts/plan.ts', ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    ),
  );
}

const design = { baseline: 12, deviation: 40, confidence: 0.95 };

describe('the plan', () => {
  it('has the effect, its neighbours, and a curve through the power asked for', () => {
    const plan = planFor({ design, relative: 0.01, power: 0.8, unitsPerDay: 100_000 });
    // the units of the reference vector that test/golden/statistics.json has for this design
    expect([plan.units, plan.days]).toEqual([3_488_383, 35]);
    expect(plan.effects.find(({ relative }) => relative === 0.02)!.units).toBe(Math.ceil(3_488_382.4485894092 / 4));
    const there = plan.curve.find(({ units }) => units === plan.units)!;
    expect(there.power).toBeCloseTo(0.8, 6);
    expect(there.detectable).toBeCloseTo(0.01, 8);
    const powers = plan.curve.map(({ power }) => power);
    expect(powers).toEqual(powers.toSorted((a, b) => a - b));
  });

  it('is drawn with a bar a row, as long as the power', () => {
    const lines = planTable(planFor({ design, relative: 0.01, power: 0.8 })).split('\n');
    expect(lines[0]).toBe('An effect of 1 % is found with power 80 % by 3,488,383 units in both arms.');
    expect(lines.find((line) => line.includes('3,488,383   '))).toMatch(/1 % +80 % +█{32}$/);
    expect(lines.join('\n')).not.toContain('days');
  });
});

describe('npm run plan', () => {
  const folder = mkdtempSync(join(tmpdir(), 'plan-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('reads baseline, deviation and correlation from a report', async () => {
    const arm = { total: 1, value: 12, standardError: 0.4, effect: null };
    const effect = {
      absolute: 0,
      interval: [-1, 1],
      relative: null,
      relativeInterval: null,
      pValue: 1,
      significant: false,
    };
    const adjusted = { by: 'before', effect, anytime: null, varianceShare: 0.75 };
    const report = {
      experiment: experimentOf('test'),
      confidence: 0.95,
      from: null,
      to: null,
      arms: ['control', 'treatment'].map((key) => ({ arm: key, units: 10_000, queries: 1 })),
      excluded: { bots: 0, mixedUnits: 0 },
      metrics: [
        {
          metric: 'revenue',
          title: 'Revenue',
          unit: 'micros',
          direction: 'increase',
          arms: [
            { arm: 'control', ...arm },
            { arm: 'treatment', ...arm, effect, adjusted },
          ],
        },
      ],
      checks: [],
    };
    const file = join(folder, 'report.json');
    writeFileSync(file, JSON.stringify(report));
    const { stdout } = await run('--report', file, '--effect', '1%', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      design: { baseline: 12, deviation: 40, correlation: 0.5 },
      units: Math.ceil(3_488_382.4485894092 * 0.75),
    });
    const unknown = await run('--report', file, '--metric', 'joy');
    expect(unknown.stderr).toContain('--metric: expected one of revenue, got joy.');
  });

  it('says what is missing or wrong in one line', async () => {
    expect((await run()).stderr).toContain('expected --report FILE, or --baseline and --deviation');
    expect((await run('--baseline', '1', '--deviation', '2', '--power', '80')).stderr).toContain('between 0.05 and 1');
    const file = join(folder, 'none.json');
    writeFileSync(file, '{');
    expect((await run('--report', file)).stderr).toContain('npm run report -- --json');
  });
});
