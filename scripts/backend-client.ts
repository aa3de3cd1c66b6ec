/** A signed client of the backend for programs on this machine. */
import { HarnessError, type Problem } from '../shared/problem.ts';
import { type KeyRing, signRequest } from '../shared/signature.ts';

export type BackendClient = <T>(method: string, path: string, body?: unknown) => Promise<T>;

/** Calls throw a {@link HarnessError} with the backend's own code and detail. */
export function backendClient(baseUrl: string, keys: KeyRing): BackendClient {
  return async <T>(method: string, path: string, body?: unknown) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const signed = await signRequest(
      keys,
      { method, path, body: text },
      { nowMs: Date.now(), nonce: crypto.randomUUID() },
    );
    let answer: Response;
    try {
      answer = await fetch(new URL(path, baseUrl), {
        method,
        headers: { ...signed, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: text }),
      });
    } catch (cause) {
      throw new HarnessError(
        'backend_unavailable',
        `No backend answers at ${baseUrl}; start the system with npm start.`,
        { cause },
      );
    }
    if (!answer.ok) {
      const problem = (await answer.json().catch(() => undefined)) as Problem | undefined;
      throw new HarnessError(
        problem?.code ?? 'internal',
        `${method} ${path}: ${problem?.detail ?? `status ${answer.status}`}`,
      );
    }
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  };
}
