/** Whether this machine has IPv6: not every container does. */
import { networkInterfaces } from 'node:os';

export const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === '::1'),
);
