/** `POST /v1/embeddings` in the shape of the OpenAI API, as far as it applies here. */
import * as z from 'zod';
import type { Problem } from '../problem.ts';

/** Texts of a request, at most. */
const MAX_INPUTS = 2_048;

const Text = z.string().min(1);
const isTokens = (input: unknown) => Array.isArray(input) && [input[0]].flat().some((part) => typeof part === 'number');

export const EmbeddingsRequest = z
  .object({
    /** Any: the answer says which model it is. */
    model: z.string().optional(),
    input: z.union([Text, z.array(Text).min(1).max(MAX_INPUTS)], {
      error: ({ input }) =>
        isTokens(input)
          ? "expected text, got token ids, which mean nothing to another model's tokenizer; send the strings"
          : `expected a string or 1 to ${MAX_INPUTS} strings, none of them empty`,
    }),
    encoding_format: z.enum(['float', 'base64']).default('float'),
    /** The model's own, or one to which its bundle says that vectors may be cut. */
    dimensions: z.int().positive().optional(),
    user: z.string().optional(),
  })
  .meta({ id: 'EmbeddingsRequest' });
export type EmbeddingsRequest = z.infer<typeof EmbeddingsRequest>;

export const EmbeddingsResponse = z
  .object({
    object: z.literal('list'),
    model: z.string(),
    data: z.array(
      z.object({
        object: z.literal('embedding'),
        index: z.int(),
        /** Numbers, or little-endian float32 as base64. */
        embedding: z.union([z.array(z.number()), z.string()]),
      }),
    ),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .meta({ id: 'EmbeddingsResponse' });
export type EmbeddingsResponse = z.infer<typeof EmbeddingsResponse>;

/** A problem as OpenAI's clients read it, beside what it says to everybody else. */
export function openAiProblem(problem: Problem): Problem & { error: Record<string, unknown> } {
  const { status, code, detail } = problem;
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  return { ...problem, error: { message: detail, type, param: null, code } };
}
