/** `npm run traffic`: users who search and click, against the running system or one started for the purpose. */
import { createTrafficCommand, runTraffic } from '../marketplace/traffic.ts';
import { exitWith } from './service.ts';
import { startSystem } from './system.ts';
