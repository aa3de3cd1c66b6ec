/** OpenAPI 3.1 documents made from the same schemas that check requests and answers. */
import * as z from 'zod';
import { Problem, type ProblemCode, STATUS } from '../problem.ts';

export interface Route {
  method: 'get' | 'put' | 'post' | 'patch' | 'delete';
  /** With parameters as `{name}`. */
  path: string;
  summary: string;
  /** Query-string schema. */
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Schema of the 2xx answer; absent for pages and redirects. */
  answer?: z.ZodType;
  status?: number;
  /** Content type when it is not JSON. */
  produces?: string;
  /** Needs the request signature of shared/signature. */
  signed?: boolean;
  /** OpenAI's clients call it: a bearer key will do instead of the signature, and problems carry their `error` too. */
  openAi?: boolean;
  errors?: ProblemCode[];
}

const json = (schema: z.ZodType, io: 'input' | 'output') => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' });
  return { 'application/json': { schema: rest } };
};

function operation(route: Route): Record<string, unknown> {
  const pathParameters = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const queryParameters = Object.entries(route.query?.shape ?? {}).map(([name, schema]) => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema as z.ZodType, { io: 'input', unrepresentable: 'any' });
    return { name, in: 'query', required: !(schema as z.ZodType).safeParse(undefined).success, schema: rest };
  });
  const success = String(route.status ?? 200);
  const problems = Object.fromEntries(
    Map.groupBy(route.errors ?? [], (code) => String(STATUS[code]))
      .entries()
      .map(([status, codes]) => [
        status,
        {
          description: codes.join(', '),
          content: { 'application/problem+json': { schema: json(Problem, 'output')['application/json'].schema } },
        },
      ]),
  );
  return {
    summary: route.summary,
    parameters: [...pathParameters, ...queryParameters],
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: json(route.body, 'input') } }),
    responses: {
      [success]: {
        description: route.summary,
        ...(route.answer === undefined
          ? route.produces === undefined
            ? {}
            : { content: { [route.produces]: {} } }
          : { content: json(route.answer, 'output') }),
      },
      ...problems,
    },
    ...(route.signed ? { security: [{ harnessSignature: [] }, ...(route.openAi ? [{ apiKey: [] }] : [])] } : {}),
  };
}

/** The document served at `GET /openapi.json`. */
export function openApi(
  info: { title: string; version: string; description: string },
  routes: readonly Route[],
): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info,
    paths,
    components: {
      securitySchemes: {
        harnessSignature: {
          type: 'apiKey',
          in: 'header',
          name: 'harness-signature',
          description: 'HMAC-SHA256 over method, path, body digest, timestamp, nonce and key id; see docs/api.md.',
        },
        apiKey: { type: 'http', scheme: 'bearer', description: 'A key of HARNESS_API_KEYS.' },
      },
    },
  };
}
