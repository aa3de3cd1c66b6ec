/** Ports for tests: nobody is dealt one that another has, however near their process numbers are. */
import { expect, test, vi } from 'vitest';

test('two that begin at the same place have no port in common', async () => {
  const deal = async () => {
    vi.resetModules(); // as in another process whose number leads to the same ports
    const { freePort } = await import('./free-port.ts');
    return Promise.all(Array.from({ length: 50 }, freePort));
  };
  const ports = [...(await deal()), ...(await deal())];
  expect(new Set(ports).size).toBe(100);
  for (const port of ports) expect(port).toSatisfy((each: number) => each > 11_000 && each < 32_000);
});
