// Starts the stand-in for the backend beside the Workers under test, and tells them where it is. It has a thread of its own: that of
// Vitest compiles modules for all, and a backend that stands still meanwhile is one that is away.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    standInUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const thread = new Worker(new URL('./stand-in-thread.ts', import.meta.url));
  const [url] = (await once(thread, 'message')) as [string];
  project.provide('standInUrl', url);
  return async () => {
    const ended = once(thread, 'exit');
    thread.postMessage('end');
    await ended;
  };
}
