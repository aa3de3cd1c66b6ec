import { describe, expect, it } from 'vitest';
import { LateOrders } from '../../marketplace/late-orders.ts';
import { steady } from '../../marketplace/pace.ts';

describe('a steady pace', () => {
  it('waits until the simulated instant, so much faster than the clock, and never for one who is late', async () => {
    let clock = 5_000;
    const waits: number[] = [];
    const pace = steady({
      fromMs: 1_000_000,
      speed: 100,
      clock: () => clock,
      wait: async (ms) => {
        waits.push(ms);
        clock += ms;
      },
    });
    await pace.until(1_000_000);
    await pace.until(1_010_000);
    await pace.until(1_010_500);
    clock += 1_000;
    await pace.until(1_011_000);
    expect(waits).toEqual([100, 5]);
  });

  it('ends at once when it is stopped', async () => {
    const controller = new AbortController();
    const pace = steady({ fromMs: 0, speed: 1, signal: controller.signal });
    const waiting = pace.until(3_600_000);
    controller.abort();
    await waiting;
    await pace.until(7_200_000);
  });
});

describe('late orders', () => {
  it('come in the order of their time, whatever the order in which they were added', () => {
    const orders = new LateOrders();
    const client = { search: async () => ({ status: 0 }), click: async () => undefined, convert: async () => true };
    for (const atMs of [5, 3, 9, 3, 1]) {
      const conversion = { clickId: 'click', orderId: `order-${orders.size}`, valueMicros: 1 };
      orders.add({ atMs, conversion, client, reported: () => {} });
    }
    expect(orders.take(1)).toBeUndefined();
    const taken = [];
    for (let next = orders.take(9); next !== undefined; next = orders.take(9)) taken.push(next);
    expect(taken.map(({ atMs, conversion: { orderId } }) => [atMs, orderId])).toEqual([
      [1, 'order-4'],
      [3, 'order-1'],
      [3, 'order-3'],
      [5, 'order-0'],
    ]);
    expect(orders.size).toBe(1);
  });
});
