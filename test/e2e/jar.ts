/** A visitor with a cookie, as a browser keeps it. */
import type { AdsResponse } from '../../shared/contract/query-route.ts';

export interface Visitor {
  search(query: string, parameters?: Record<string, string>): Promise<AdsResponse>;
}

export function visitor(edgeUrl: string): Visitor {
  let cookie: string | undefined;
  return {
    async search(query, parameters = {}) {
      const answer = await fetch(`${edgeUrl}/v1/ads?${new URLSearchParams({ q: query, ...parameters })}`, {
        headers: cookie === undefined ? {} : { cookie },
      });
      cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
      if (!answer.ok) throw new Error(`status ${answer.status}: ${await answer.text()}`);
      return (await answer.json()) as AdsResponse;
    },
  };
}

/** A visitor whom the experiment has put into the arm; tries fresh ones until it is so. */
export async function visitorIn(
  arm: string,
  edgeUrl: string,
  onAnswer: (answer: AdsResponse) => void = () => {},
): Promise<Visitor> {
  for (let tries = 0; tries < 64; tries++) {
    const candidate = visitor(edgeUrl);
    const answer = await candidate.search('sofa');
    onAnswer(answer);
    const { assignments } = answer;
    if (assignments.some((assignment) => assignment.arm === arm)) return candidate;
  }
  throw new Error(`none of 64 visitors fell into arm ${arm}`);
}
