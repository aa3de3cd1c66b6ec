/** `GET|PUT|PATCH|DELETE` of `/v1/campaigns/:id`, `/v1/advertisers/:id` and `/v1/policies/:id`, and their lists. */
import type { z } from 'zod';
import {
  ACCOUNT_SCHEMAS,
  type Account,
  type AccountKind,
  AccountPage,
  AdvertiserPatch,
  CampaignPatch,
} from '../../shared/contract/accounts.ts';
import { HarnessError, parse } from '../../shared/problem.ts';
import type { Accounts } from '../catalogue/accounts.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

/** Five thousand negative keywords. */
const MAX_BYTES = 2 << 20;

type AccountPatch = z.infer<typeof CampaignPatch> | z.infer<typeof AdvertiserPatch>;

/** Where each kind is found, what its list is called, and what a patch of it may hold; a rule of policy is put whole. */
const PLACES: Record<AccountKind, { path: string; list: string; patch?: z.ZodType<AccountPatch> }> = {
  campaign: { path: 'campaigns', list: 'campaigns', patch: CampaignPatch },
  advertiser: { path: 'advertisers', list: 'advertisers', patch: AdvertiserPatch },
  policy: { path: 'policies', list: 'rules' },
};

export function accountRoutes(accounts: Accounts): Endpoint[] {
  return (Object.keys(PLACES) as AccountKind[]).flatMap((kind) => {
    const { path, list, patch } = PLACES[kind];
    const schema: z.ZodType<Account> = ACCOUNT_SCHEMAS[kind];
    const endpoints = [
      endpoint({
        on: `get /v1/${path}`,
        async handle({ query }) {
          const { entries, next } = await accounts.list(kind, parse(AccountPage, query, 'query'));
          return { [list]: entries, next };
        },
      }),
      endpoint({ on: `get /v1/${path}/{id}`, handle: ({ params }) => accounts.get(kind, params.id!) }),
      endpoint({
        on: `put /v1/${path}/{id}`,
        body: schema,
        maxBytes: MAX_BYTES,
        async handle({ body, params }) {
          if (body.id !== params.id)
            throw new HarnessError('bad_request', `body.id: expected ${params.id} as in the path, got ${body.id}.`);
          return accounts.put(kind, body);
        },
      }),
      endpoint({ on: `delete /v1/${path}/{id}`, handle: ({ params }) => accounts.remove(kind, params.id!) }),
    ];
    if (patch !== undefined)
      endpoints.push(
        endpoint({
          on: `patch /v1/${path}/{id}`,
          body: patch,
          maxBytes: MAX_BYTES,
          handle: ({ body, params }) => accounts.patch(kind, params.id!, body),
        }),
      );
    return endpoints;
  });
}
