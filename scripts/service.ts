/**
 * A child process of the local system (backend or edge): started in a session of its own, so that Ctrl-C reaches only the
 * supervisor and events can drain in order; tied to its parent by an IPC channel, so that it drains and ends without it, too.
 * The child says `{ready: true, url}` when it answers, and is told `stop` to drain.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { HarnessError } from '../shared/problem.ts';

export interface ServiceOptions {
  name: string;
  /** Source file to run. */
  entry: string;
  env: Record<string, string>;
  /** Flags of the child's Node. */
  flags?: readonly string[];
  /** Lines of the child's standard error and output. */
  onLine: (line: string) => void;
  /** Called when the child ends without having been asked to. */
  onExit?: (code: number | null, signal: NodeJS.Signals | null) => void;
}

export interface Service {
  readonly url: string;
  readonly pid: number;
  /** Should this process end without a word, the child goes on until that other one has ended, too. */
  outlive(pid: number): void;
  /**
   * Asks the child to drain and waits for its end; kills it after `graceMs`, which only ends what hangs, on a machine however busy.
   * Resolves with what the child reported last.
   */
  stop(graceMs?: number): Promise<Record<string, unknown>>;
}

function lines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    for (const part of parts) if (part !== '') onLine(part);
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** Starts the child and waits until it is ready; throws `configuration` with the child's last words when it ends first. */
export async function startService({ name, entry, env, flags = [], onLine, onExit }: ServiceOptions): Promise<Service> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...flags, entry], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  // The reason of a failure is the last line on standard error; standard output goes on to say that all is closed. Of a fault it is where
  // the dump begins: what follows is indented, or closes it.
  const lastWords = { stdout: '', stderr: '' };
  let last: Record<string, unknown> = {};
  let stopping = false;
  for (const from of ['stdout', 'stderr'] as const)
    lines(child[from]!, (line) => {
      if (!/^(\s|\}|Node\.js v)/.test(line)) lastWords[from] = line;
      onLine(line);
    });
  const url = await new Promise<string>((resolve, reject) => {
    child.on('message', (message: Record<string, unknown>) => {
      last = message;
      if (message.ready === true) resolve(String(message.url));
    });
    // Not on `exit`: what was written last may still be in the pipe then.
    child.once('close', (code, signal) => {
      const reason = lastWords.stderr || lastWords.stdout || `The ${name} ended at once (${signal ?? code}).`;
      reject(new HarnessError('configuration', reason));
    });
    child.once('error', (cause) =>
      reject(new HarnessError('configuration', `The ${name} could not be started: ${cause.message}`, { cause })),
    );
  });
  child.once('exit', (code, signal) => {
    if (!stopping) onExit?.(code, signal);
  });
  return {
    url,
    pid: child.pid!,
    outlive(pid) {
      if (child.connected) child.send({ outlive: pid }, () => undefined); // one that has just ended outlives nobody
    },
    async stop(graceMs = 15_000) {
      stopping = true;
      if (child.connected) child.send('stop');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended(child);
      clearTimeout(timer);
      return last;
    },
  };
}

/** How long a child waits at most for another one that it is to outlive: longer than the edge drains its queue. */
const OUTLIVE_MS = 20_000;

const isThere = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The child's side of the contract: drains once on `stop`, a signal, or the loss of its parent. */
export function serve({ url, stop }: { url: string; stop: () => Promise<unknown> }): void {
  let stopping = false;
  let other: number | undefined;
  const end = async () => {
    if (stopping) return;
    stopping = true;
    const outcome = (await stop()) as Record<string, unknown> | undefined;
    if (process.connected)
      await new Promise<void>((resolve) => process.send?.({ stopped: true, ...outcome }, () => resolve()) ?? resolve());
    process.exit(0);
  };
  process.on('message', (message: 'stop' | { outlive: number }) => {
    if (message === 'stop') void end();
    else other = message.outlive;
  });
  process.on('disconnect', async () => {
    const until = performance.now() + OUTLIVE_MS;
    while (other !== undefined && isThere(other) && performance.now() < until) await pause(50);
    await end();
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void end());
  // A parent that left while this started is told nothing, and nobody else will ask for the end.
  if (process.send !== undefined && !process.connected) void end();
  else process.send?.({ ready: true, url });
}
