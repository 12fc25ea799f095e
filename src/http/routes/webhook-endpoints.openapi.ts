/** `/v1/webhooks/endpoints` in the API's document. */
import { z } from 'zod';
import { DISABLED_REASONS, EVENT_TYPES } from '../../domain/webhook.ts';
import { ENDPOINT_CHANGES, NEW_ENDPOINT, REPLAY } from '../../domain/webhook-endpoint.ts';
import { ENDPOINT_ID, WEBHOOK_ID, WEBHOOK_SECRET } from '../../domain/webhook-ids.ts';
import { NAMESPACE } from '../../domain/write-schema.ts';
import { SERVED_ENCODINGS } from '../decoders.ts';
import type { Operations, RequestBody } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named, pageOf, TIME } from '../openapi/schemas.ts';
import { pageQuery } from '../paging.ts';

named('EndpointId', ENDPOINT_ID, 'What an endpoint is called.', EXAMPLE.endpointId);
named(
  'WebhookId',
  WEBHOOK_ID,
  'What an event is called: the header `webhook-id`, the same for all endpoints and all attempts.',
  EXAMPLE.webhookId,
);
named('WebhookSecret', WEBHOOK_SECRET, 'A secret that deliveries are signed with: `whsec_` and base64.');

const SINCE = TIME.nullable();

const KEY_ID = z.string().nullable();

const endpoint = named(
  'WebhookEndpoint',
  z.strictObject({
    id: ENDPOINT_ID,
    url: z.string().meta({
      description:
        'Its origin and `/***` for API keys without the scope `admin`: paths and queries hold tokens.',
    }),
    description: z.string(),
    namespaces: z.array(NAMESPACE).nullable().meta({ description: 'Whose events are sent; null: all.' }),
    events: z.array(z.enum(EVENT_TYPES)),
    rate: z.int().nullable().meta({ description: 'Most deliveries for each second; null: no limit.' }),
    disabled: z.boolean(),
    disabled_reason: z.enum(DISABLED_REASONS).nullable().meta({
      description:
        '`requested`: somebody asked for it. `gone`: the receiver has answered 410. `failing`: nothing could be delivered for days.',
    }),
    disabled_at: SINCE,
    failing_since: SINCE.meta({ description: 'Since when nothing could be delivered; null: it could be.' }),
    paused_until: SINCE.meta({
      description: 'The receiver has asked for nothing to be sent before this time.',
    }),
    created_by: KEY_ID.meta({ description: 'The API key that made it; null: an earlier version did.' }),
    url_set_by: KEY_ID.meta({
      description: 'The API key that has set its URL; null: an earlier version did.',
    }),
    created_at: TIME,
    updated_at: TIME,
  }),
  'Where events are sent to.',
);

const created = named(
  'NewWebhookEndpoint',
  z.strictObject({ ...endpoint.shape, secret: WEBHOOK_SECRET }),
  'An endpoint that was just made, with the secret that its deliveries are signed with.',
);

const secrets = named(
  'WebhookSecrets',
  z.strictObject({
    id: ENDPOINT_ID,
    secret: WEBHOOK_SECRET,
    secrets: z.array(
      z.strictObject({
        secret: WEBHOOK_SECRET,
        created_at: TIME,
        expires_at: SINCE.meta({ description: 'Until when it signs; null: the current one.' }),
      }),
    ),
  }),
  'The current secret of an endpoint, and all those that its deliveries are signed with.',
);

named('WebhookEndpointBody', NEW_ENDPOINT, 'An endpoint that is to be made.');
named('WebhookEndpointChanges', ENDPOINT_CHANGES, 'What is to change. What is left out stays as it is.');
named('WebhookReplay', REPLAY, 'Which deliveries are to be sent again.');

const SECRET_EXAMPLE = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwNEe5VcpkHlA=';
const URL_EXAMPLE = 'https://example.com/hooks/inlet';

const ENDPOINT = {
  id: EXAMPLE.endpointId,
  url: URL_EXAMPLE,
  description: '',
  namespaces: [EXAMPLE.namespace],
  events: [...EVENT_TYPES],
  rate: null,
  disabled: false,
  disabled_reason: null,
  disabled_at: null,
  failing_since: null,
  paused_until: null,
  created_by: 'key_4eC39HqLyjWDarjt',
  url_set_by: 'key_4eC39HqLyjWDarjt',
  created_at: EXAMPLE.acceptedAt,
  updated_at: EXAMPLE.acceptedAt,
};

const SECRETS = {
  id: EXAMPLE.endpointId,
  secret: SECRET_EXAMPLE,
  secrets: [{ secret: SECRET_EXAMPLE, created_at: EXAMPLE.acceptedAt, expires_at: null }],
};

function body(description: string, schema: z.ZodType, summary: string, value: unknown): RequestBody {
  return {
    description,
    required: true,
    encodings: SERVED_ENCODINGS,
    content: { 'application/json': { schema, examples: { example: { summary, value } } } },
  };
}

const NO_SUCH_ENDPOINT = {
  not_found: 'There is no such endpoint, or the API key may not see it.',
};
const WITH_BODY = { too_large: null, unsupported_media_type: null };
const NAMESPACE_UNSEEN = {
  forbidden: 'The API key does not have the scope, or may not see one of the namespaces.',
};
/** Of those that need no body. */
const WITHOUT_BODY = {
  unsupported_media_type: 'A body came along in a `Content-Type` that is not served.',
};

export const webhookEndpointOperations = {
  'POST /v1/webhooks/endpoints': {
    id: 'createWebhookEndpoint',
    tag: 'Webhooks',
    summary: 'Make an endpoint',
    description:
      'From now on events of writes that are stored later are sent there, signed with the secret of the answer. ' +
      'There may be 500 endpoints, and 50 by one API key of the database.',
    access: 'admin',
    body: body('The endpoint.', NEW_ENDPOINT, 'Events of one namespace', {
      url: URL_EXAMPLE,
      namespaces: [EXAMPLE.namespace],
    }),
    answers: {
      201: {
        description: 'The endpoint, with its secret.',
        headers: {
          Location: {
            description: 'Where the endpoint is read.',
            required: true,
            schema: z.string(),
            example: `/v1/webhooks/endpoints/${EXAMPLE.endpointId}`,
          },
        },
        content: json(created, 'A new endpoint', { ...ENDPOINT, secret: SECRET_EXAMPLE }),
      },
    },
    problems: {
      ...NAMESPACE_UNSEEN,
      ...WITH_BODY,
      conflict: 'There are 500 endpoints already.',
    },
  },

  'GET /v1/webhooks/endpoints': {
    id: 'listWebhookEndpoints',
    tag: 'Webhooks',
    summary: 'List endpoints',
    description: 'Those all of whose namespaces the API key may see, the newest first, in pages.',
    access: 'read',
    queries: [pageQuery],
    answers: {
      200: {
        description: 'A page of endpoints.',
        content: json(
          named('WebhookEndpointList', pageOf(endpoint), 'A page of endpoints, the newest first.'),
          'The only page',
          { data: [ENDPOINT], next_cursor: null },
        ),
      },
    },
  },

  'GET /v1/webhooks/endpoints/{endpointId}': {
    id: 'getWebhookEndpoint',
    tag: 'Webhooks',
    summary: 'Get an endpoint',
    description: 'The endpoint, without its secret.',
    access: 'read',
    answers: { 200: { description: 'The endpoint.', content: json(endpoint, 'An endpoint', ENDPOINT) } },
    problems: NO_SUCH_ENDPOINT,
  },

  'PATCH /v1/webhooks/endpoints/{endpointId}': {
    id: 'updateWebhookEndpoint',
    tag: 'Webhooks',
    summary: 'Change an endpoint',
    description:
      'Changes what the body names. What is still to be sent and is no longer asked for, by namespace or event, is ' +
      'dropped. Enabling an endpoint sends what was pending, and ends a pause that its receiver had asked for.',
    access: 'admin',
    body: body('The changes.', ENDPOINT_CHANGES, 'Enable it again', { disabled: false }),
    answers: {
      200: { description: 'The endpoint as it is now.', content: json(endpoint, 'An endpoint', ENDPOINT) },
    },
    problems: { ...NO_SUCH_ENDPOINT, ...NAMESPACE_UNSEEN, ...WITH_BODY },
  },

  'DELETE /v1/webhooks/endpoints/{endpointId}': {
    id: 'deleteWebhookEndpoint',
    tag: 'Webhooks',
    summary: 'Delete an endpoint',
    description: 'With its secrets, and with what is still to be sent to it.',
    access: 'admin',
    answers: { 204: { description: 'It is deleted.' } },
    problems: { ...NO_SUCH_ENDPOINT, ...WITHOUT_BODY },
  },

  'GET /v1/webhooks/endpoints/{endpointId}/secret': {
    id: 'getWebhookSecret',
    tag: 'Webhooks',
    summary: "Get an endpoint's secret",
    description:
      'The current secret, and those that still sign because they were rotated out in the last 24 hours.',
    access: 'admin',
    answers: { 200: { description: 'The secrets.', content: json(secrets, 'One secret', SECRETS) } },
    problems: NO_SUCH_ENDPOINT,
  },

  'POST /v1/webhooks/endpoints/{endpointId}/rotate-secret': {
    id: 'rotateWebhookSecret',
    tag: 'Webhooks',
    summary: 'Make a new secret',
    description:
      'Deliveries are signed with the new secret, and for 24 hours with the one before, too: two signatures, of which ' +
      'receivers need to know one.',
    access: 'admin',
    answers: {
      200: {
        description: 'The new secret, and all those that sign.',
        content: json(secrets, 'The new secret and the one before', {
          ...SECRETS,
          secrets: [
            ...SECRETS.secrets,
            {
              secret: 'whsec_3sB8gPz3n0Xk1kT9nBqmEoJ0mYwN2bDdX2h7eUu0cS8=',
              created_at: EXAMPLE.acceptedAt,
              expires_at: '2026-11-23T19:00:00.123Z',
            },
          ],
        }),
      },
    },
    problems: { ...NO_SUCH_ENDPOINT, ...WITHOUT_BODY },
  },

  'POST /v1/webhooks/endpoints/{endpointId}/test': {
    id: 'testWebhookEndpoint',
    tag: 'Webhooks',
    summary: 'Send a test event',
    description:
      'Sends `webhook.test` to the endpoint. What becomes of it is listed among the deliveries, by the `webhook_id` ' +
      'of the answer.',
    access: 'admin',
    answers: {
      202: {
        description: 'The event is on its way.',
        content: json(
          named(
            'WebhookTest',
            z.strictObject({ webhook_id: WEBHOOK_ID, status: z.literal('pending') }),
            'A test event on its way.',
          ),
          'On its way',
          { webhook_id: 'msg_01h2m7qdmdjckc30e1mnq6xqfd_test', status: 'pending' },
        ),
      },
    },
    problems: {
      ...NO_SUCH_ENDPOINT,
      ...WITHOUT_BODY,
      conflict: 'The endpoint is disabled, so nothing is sent to it.',
    },
  },

  'POST /v1/webhooks/endpoints/{endpointId}/replay': {
    id: 'replayWebhooks',
    tag: 'Webhooks',
    summary: 'Send events again',
    description:
      'Sends again what could not be delivered, or everything, since a time, as far as the endpoint asks for it now. ' +
      'Events keep their `webhook-id`. What waits for its next attempt is sent now, and goes on with its schedule; tests are not repeated.',
    access: 'admin',
    body: body('Which ones.', REPLAY, 'What has failed', { since: '2026-11-22T19:00:00Z' }),
    answers: {
      200: {
        description: 'They are on their way.',
        content: json(
          named(
            'WebhooksReplayed',
            z.strictObject({ replayed: z.int().min(0).meta({ description: 'How many are sent again.' }) }),
            'How many deliveries are sent again.',
          ),
          'Three',
          { replayed: 3 },
        ),
      },
    },
    problems: {
      ...NO_SUCH_ENDPOINT,
      ...WITH_BODY,
      conflict: 'The endpoint is disabled, so nothing is sent to it.',
    },
  },
} satisfies Operations;
