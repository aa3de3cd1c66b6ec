import { createHash } from 'node:crypto';
import { parseHTML } from 'linkedom';
import { beforeEach, describe, expect, it } from 'vitest';
import { answerDashboard } from '../../../gpu-backend/dashboard/dashboard.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { DECISION_RULES } from '../../../gpu-backend/experiments/verdict.ts';
import {
  emptyEvents,
  experimentOf,
  impressionOf,
  START_MS,
  storeEvents,
  storeExperiment,
  trafficOf,
} from '../../fixtures/experiment-traffic.ts';
import { openEmbeddedDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

describe('GET /dashboard', () => {
  const database = useDatabase(openEmbeddedDatabase);
  beforeEach(() => emptyEvents(database.db, 'experiments'));

  async function open(query: Record<string, string> = {}) {
    const answer = await answerDashboard(database.db, query);
    const text = await answer.text();
    return { answer, text, document: parseHTML(text).document };
  }

  /** Traffic of two markets. */
  const inMarkets = (units: number) =>
    trafficOf({ seed: 1, units, experiment: 'test' }).map((event) =>
      event.type === 'impression' && event.unitId.length % 2 === 0 ? { ...event, market: 'gb' } : event,
    );

  it('shows health, effects, numbers and traffic of the experiment', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeEvents(database.db, inMarkets(120));
    const { answer, document, text } = await open({ experiment: 'test' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(document.querySelector('#health')!.textContent).toContain('✓ Sample ratio');
    expect(document.querySelector('.verdict .badge')!.textContent).toMatch(/^(Ship|Hold|Roll back|No verdict)$/);
    const forest = document.querySelector('.effects svg')!;
    for (const { title } of METRICS) expect(document.querySelector('.metrics')!.textContent).toContain(title);
    // What can be said in per cent is drawn too.
    const inPerCent = [...document.querySelectorAll('.metrics tbody tr')].filter((row) =>
      row.querySelector('[data-label=difference]')!.textContent!.endsWith('%'),
    );
    expect(inPerCent.length).toBeGreaterThan(METRICS.length / 2);
    for (const row of inPerCent) expect(forest.textContent).toContain(row.querySelector('th')!.textContent);
    expect(document.querySelectorAll('.traffic .wide svg')).toHaveLength(2);
    expect(document.querySelector('.segments svg')!.textContent).toContain('market us');
    expect(/NaN|undefined|Infinity/.exec(text)).toBeNull();
  });

  it('draws each interval where its numbers are', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeEvents(database.db, trafficOf({ seed: 7, units: 200, experiment: 'test' }));
    const { document } = await open();
    const svg = document.querySelector('.effects .wide svg')!;
    const x = (element: NonNullable<ReturnType<typeof svg.querySelector>>, name: string) => {
      const [, shift] = /translate\(([-\d.]+)/.exec(element.parentElement!.getAttribute('transform') ?? '') ?? [];
      return Number(element.getAttribute(name)) + Number(shift ?? 0);
    };
    const zero = x(
      svg.querySelector('[aria-label="rule"][stroke-opacity="0.6"] line, g[aria-label="rule"] line')!,
      'x1',
    );
    const whiskers = [...svg.querySelectorAll('g[aria-label="rule"]')].at(-1)!.querySelectorAll('line');
    const dots = [...svg.querySelectorAll('g[aria-label="dot"] circle')];
    const metrics = [...document.querySelectorAll('.metrics tbody tr')].map((row) => {
      const numbers = (label: string) =>
        row
          .querySelector(`[data-label=${label}]`)!
          .textContent!.split(' to ')
          .map((text: string) => Number.parseFloat(text.replace('\u2212', '-')));
      const [low, high] = numbers('interval');
      return { low: low!, high: high!, effect: numbers('difference')[0]! };
    });
    expect(metrics).toHaveLength(METRICS.length);
    // nobody judged an ad, no answer came from a cache, and all took as long
    const rows = metrics.filter(({ effect }) => !Number.isNaN(effect));
    expect(rows).toHaveLength(METRICS.length - 3);
    const drawn = rows.map((_, i) => ({
      from: x(whiskers[i]!, 'x1'),
      to: x(whiskers[i]!, 'x2'),
      dot: x(dots[i]!, 'cx'),
    }));
    const farthest = rows.reduce((far, row, i) => (Math.abs(row.effect) > Math.abs(rows[far]!.effect) ? i : far), 0);
    const perCent = (drawn[farthest]!.dot - zero) / rows[farthest]!.effect;
    // What runs out of the picture is cut at its edge.
    const [left, right] = [Math.min(...drawn.map(({ from }) => from)), Math.max(...drawn.map(({ to }) => to))];
    const place = (at: number) => Math.min(right, Math.max(left, zero + at * perCent));
    for (const [i, { from, to, dot }] of drawn.entries()) {
      expect(Math.abs(from - place(rows[i]!.low)), `low end of row ${i}`).toBeLessThan(6);
      expect(Math.abs(to - place(rows[i]!.high)), `high end of row ${i}`).toBeLessThan(6);
      expect(Math.abs(dot - place(rows[i]!.effect)), `dot of row ${i}`).toBeLessThan(6);
    }
  });

  it('draws the effect so far within its sequence, for the metrics that the verdict is made of', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeEvents(database.db, trafficOf({ seed: 1, units: 260, experiment: 'test' }));
    const { document } = await open();
    const panels = [...document.querySelectorAll('.trends .wide svg')];
    expect(panels.length).toBeGreaterThanOrEqual(DECISION_RULES.guardrails.length);
    for (const panel of panels) {
      expect(panel.querySelector('g[aria-label=area] path')!.getAttribute('d')).toMatch(/^M/);
      expect(panel.querySelector('g[aria-label=line] path')!.getAttribute('d')).toMatch(/^M/);
    }
  });

  it('leads from every part with numbers to the SQL that made them', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeEvents(database.db, inMarkets(120));
    const { document } = await open();
    const parts = [...document.querySelectorAll('section')].filter((part) => part.querySelector('table, svg, .badge'));
    expect(parts.length).toBeGreaterThanOrEqual(6);
    for (const part of parts) {
      const target = part.querySelector('a.sql')!.getAttribute('href')!;
      expect(document.querySelector(`details ${target}`)!.textContent, part.textContent!.slice(0, 40)).toContain(
        'select',
      );
    }
  });

  it('has a page to share from which nothing leads elsewhere', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeExperiment(database.db, experimentOf('other'));
    await storeEvents(database.db, trafficOf({ seed: 1, units: 120, experiment: 'test' }));
    const { document, text } = await open({ experiment: 'test', alone: '1' });
    const leads = [...document.querySelectorAll('[href], [src]')].map((each) => each.getAttribute('href') ?? '');
    expect(leads.filter((to) => !/^(#|data:)/.test(to))).toEqual([]);
    expect(text).not.toContain('>other<');
    expect((await open({ experiment: 'test', alone: '1' })).text).toBe(text);
  });

  it('escapes all that people and events bring in', async () => {
    const attack = `"><script>window.pwned=1</script><img src=x onerror=window.pwned=1>'`;
    await storeExperiment(database.db, { ...experimentOf('test'), description: attack });
    await storeEvents(database.db, [
      impressionOf({ id: '1', unit: 'a', arm: 'control' }),
      impressionOf({ id: '2', unit: 'b', arm: 'control', atMs: START_MS + 1 }),
      impressionOf({ id: '3', unit: 'c', arm: attack }),
      impressionOf({ id: '4', unit: 'd', arm: attack, shown: 3 }),
    ]);
    for (const query of [{}, { experiment: attack }, { experiment: 'test', refresh: attack }]) {
      const { document, text } = await open(query);
      expect(text.includes('window.pwned=1')).toBe(true); // it is shown, as text
      expect(document.querySelectorAll('script, img, [onerror]')).toHaveLength(0);
      expect(/<script|<img/.test(text)).toBe(false);
    }
  });

  it('lets nothing else load or run', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeEvents(database.db, trafficOf({ seed: 1, units: 30, experiment: 'test' }));
    const { answer, document, text } = await open();
    const policy = answer.headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    const style = document.querySelectorAll('style');
    expect(style).toHaveLength(1);
    const digest = createHash('sha256').update(style[0]!.textContent!).digest('base64');
    expect(policy).toContain(`style-src 'sha256-${digest}'`);
    expect(document.querySelectorAll('[style]')).toHaveLength(0);
    expect(/https?:|src=|@import|url\(/.exec(text.replaceAll('http://www.w3.org/', ''))).toBeNull();
  });

  it('chooses the default experiment, or the first, and says when there is none', async () => {
    const none = await open();
    expect([none.answer.status, none.document.querySelector('[role=alert]')!.textContent]).toEqual([
      200,
      'There is no experiment yet: create one with PUT /v1/experiments/:key.',
    ]);
    await storeExperiment(database.db, experimentOf('another'));
    expect((await open()).document.querySelector('h1')!.textContent).toBe('another');
    await storeExperiment(database.db, experimentOf('student-retrieval'));
    const page = await open();
    expect(page.document.querySelector('h1')!.textContent).toBe('student-retrieval');
    expect(page.document.querySelector('[aria-current=page]')!.textContent).toBe('student-retrieval');
    expect(page.text).toContain('No queries yet');
    await storeExperiment(database.db, { ...experimentOf('later'), status: 'draft' });
    expect((await open({ experiment: 'later' })).text).toContain('Nobody is in a draft.');
    const unknown = await open({ experiment: 'nothing' });
    expect([unknown.answer.status, unknown.document.querySelector('[role=alert]')!.textContent]).toEqual([
      404,
      'There is no experiment "nothing"; choose one above.',
    ]);
  });

  it('loads itself again only when asked to, and not too often', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const refresh = async (query: Record<string, string>) =>
      (await open(query)).document.querySelector('meta[http-equiv=refresh]')?.getAttribute('content');
    expect(await refresh({})).toBeUndefined();
    expect(await refresh({ refresh: 'soon' })).toBeUndefined();
    expect(await refresh({ refresh: '30' })).toBe('30');
    expect(await refresh({ refresh: '0.6' })).toBe('5');
    expect(await refresh({ refresh: '1e12' })).toBe('3600');
  });

  it('warns in place of claiming when the sample ratio is off', async () => {
    await storeExperiment(database.db, experimentOf('test', { control: 9, treatment: 1 }));
    await storeEvents(database.db, trafficOf({ seed: 1, units: 120, experiment: 'test' }));
    const { document } = await open();
    expect(document.querySelector('#health .badge.bad')!.textContent).toBe('✗ Sample ratio');
    expect(document.querySelector('.verdict .badge.bad')!.textContent).toBe('No verdict');
    expect(document.querySelector('.effects[data-untrusted] h2')!.textContent).toContain('not to be read');
  });
});
