// Starts the stand-in for the backend beside the Workers under test, and tells them where it is.
import type { TestProject } from 'vitest/node';
import { startStandIn } from './stand-in-server.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    standInUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const standIn = await startStandIn();
  project.provide('standInUrl', standIn.url);
  return () => standIn.close();
}
