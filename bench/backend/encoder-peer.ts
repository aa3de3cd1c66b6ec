/** infinity-emb with the same ONNX graph (bench/peers/embeddings_server.py), as a process. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../../test/setup/free-port.ts';

export interface EncoderPeer {
  name: string;
  url: string;
  path: string;
  stop(): void;
}

/** How long it may take to start and warm up. */
const START_MS = 120_000;

/** Starts the peer, or says why there is none. */
export async function startEncoderPeer(say: (line: string) => void): Promise<EncoderPeer | { missing: string }> {
  const python = process.env.HARNESS_PEERS_PYTHON;
  const need = '"infinity-emb[server]" requests onnxruntime tokenizers uvicorn uvloop httptools';
  if (!python) return { missing: `set HARNESS_PEERS_PYTHON to a python with ${need} (pip install ${need})` };
  const port = await freePort();
  const child = spawn(python, ['bench/peers/embeddings_server.py', 'models/default', String(port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [name, lastWords, ended] = ['', '', false];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (name === '' && line.startsWith('peer ')) name = line.slice(5);
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    lastWords = line;
  });
  const end = () => {
    ended = true;
  };
  child.once('exit', end).once('error', end);
  const url = `http://127.0.0.1:${port}`;
  for (const until = performance.now() + START_MS; !ended && performance.now() < until; await pause(200)) {
    const answer = await fetch(`${url}/health`).catch(() => undefined); // it does not listen yet
    if (answer?.ok) {
      say(`${name} is up`);
      return { name, url, path: '/embeddings', stop: () => child.kill() };
    }
  }
  child.kill();
  return { missing: `it did not start (${lastWords}); pip install ${need}` };
}
