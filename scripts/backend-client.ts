/** A signed client of the backend, or of the edge's signed routes, for programs on this machine. */
import { HarnessError, type Problem } from '../shared/problem.ts';
import { type KeyRing, signRequest } from '../shared/signature.ts';

export type BackendClient = <T>(method: string, path: string, body?: unknown) => Promise<T>;

/** Calls throw a {@link HarnessError} with the service's own code and detail, `backend_unavailable` where none answers. */
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
        ? new HarnessError(
            'backend_unavailable',
            `${method} ${path}: expected the ${service} at ${new URL(baseUrl).origin}, got status ${answer.status}.`,
          )
        : new HarnessError(problem.code, `${method} ${path}: ${problem.detail}`);
    }
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  };
}
