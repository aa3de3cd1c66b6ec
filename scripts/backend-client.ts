/** A signed client of the backend, or of the edge's signed routes, for programs on this machine. */
import { HarnessError, type Problem } from '../shared/problem.ts';
import { type KeyRing, signRequest } from '../shared/signature.ts';

export type BackendClient = <T>(method: string, path: string, body?: unknown) => Promise<T>;

/** Calls throw a {@link HarnessError} with the service's own code and detail, `backend_unavailable` where none answers or another program does. */
export function backendClient(
  baseUrl: string | URL,
  keys: KeyRing,
  service: 'backend' | 'edge' = 'backend',
): BackendClient {
  return async <T>(method: string, path: string, body?: unknown) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const signed = await signRequest(
      keys,
      { method, path, body: text },
      { nowMs: Date.now(), nonce: crypto.randomUUID() },
    );
    const another = (got: string, cause?: unknown) =>
      new HarnessError(
        'backend_unavailable',
        `${method} ${path}: expected the ${service} at ${new URL(baseUrl).origin}, got ${got}.`,
        { cause },
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
        `No ${service} answers at ${new URL(baseUrl).origin}; start the system with npm start.`,
        { cause },
      );
    }
    if (!answer.ok) {
      const problem = (await answer.json().catch(() => undefined)) as Problem | undefined;
      throw problem?.code === undefined
        ? another(`status ${answer.status}`)
        : new HarnessError(problem.code, `${method} ${path}: ${problem.detail}`);
    }
    if (answer.status === 204) return undefined as T;
    return answer.json().catch((cause: unknown) => {
      throw another('no JSON', cause);
    }) as Promise<T>;
  };
}
