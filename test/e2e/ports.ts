/** Several ports that nothing listens on. */
import { freePort } from '../setup/free-port.ts';

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}
