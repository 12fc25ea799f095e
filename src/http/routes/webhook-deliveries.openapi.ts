/** `GET /v1/webhooks/deliveries` in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { DELIVERY_STATUSES, EVENT_TYPES, TEST_EVENT } from '../../domain/webhook.ts';
import { ENDPOINT_ID, WEBHOOK_ID } from '../../domain/webhook-ids.ts';
import { NAMESPACE } from '../../domain/write-schema.ts';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named, pageOf, TIME } from '../openapi/schemas.ts';
import { pageQuery } from '../paging.ts';
import { deliveriesQuery } from './webhook-deliveries.ts';

const attempt = named(
  'DeliveryAttempt',
  z.strictObject({
    at: TIME.meta({ ...TIME.meta(), description: 'When it began.' }),
    status_code: z.int().nullable().meta({ description: 'Of the answer; null where none came.' }),
    duration_ms: z.number().min(0),
    response: z.string().nullable().meta({
      description:
        "The beginning of the answer's body, at most 1 KiB; null for API keys without the scope `admin`.",
    }),
    error: z.string().nullable().meta({ description: 'Why it has failed; null where it has not.' }),
  }),
  'One try to deliver an event.',
);

const delivery = named(
  'WebhookDelivery',
  z.strictObject({
    webhook_id: WEBHOOK_ID,
    endpoint_id: ENDPOINT_ID,
    type: z.enum([...EVENT_TYPES, TEST_EVENT]),
    namespace: NAMESPACE.nullable().meta({ description: 'Null for a test.' }),
    id: z.string().nullable().meta({ description: 'The object; null for a test.' }),
    request_id: REQUEST_ID.meta({ description: 'The request that the event came of.' }),
    accepted_at: TIME,
    status: z.enum(DELIVERY_STATUSES).meta({
      description:
        '`pending`: it is still to be sent, for the first time or again. `failed`: it is not any more.',
    }),
    attempts: z.array(attempt).meta({ description: 'The oldest first.' }),
    next_attempt_at: TIME.nullable().meta({ description: 'Null unless it is pending.' }),
    created_at: TIME,
    completed_at: TIME.nullable().meta({ description: 'Null while it is pending.' }),
  }),
  'An event on its way to an endpoint, and what became of it.',
);

export const webhookDeliveryOperations = {
  'GET /v1/webhooks/deliveries': {
    id: 'listWebhookDeliveries',
    tag: 'Webhooks',
    summary: 'List deliveries',
    description:
      'What was sent, or is to be sent, to the endpoints that the API key may see, with every attempt; the newest event ' +
      'first, in pages. A page ends early before its attempts come to more than 5 MiB.',
    access: 'read',
    queries: [deliveriesQuery, pageQuery],
    answers: {
      200: {
        description: 'A page of deliveries.',
        content: json(
          named('WebhookDeliveryList', pageOf(delivery), 'A page of deliveries, the newest event first.'),
          'One that was delivered at the second attempt',
          {
            data: [
              {
                webhook_id: EXAMPLE.webhookId,
                endpoint_id: EXAMPLE.endpointId,
                type: 'workflow.succeeded',
                namespace: EXAMPLE.namespace,
                id: EXAMPLE.objectId,
                request_id: EXAMPLE.requestId,
                accepted_at: EXAMPLE.acceptedAt,
                status: 'succeeded',
                attempts: [
                  {
                    at: '2026-11-22T19:00:00.150Z',
                    status_code: 503,
                    duration_ms: 23,
                    response: 'try later',
                    error: 'the answer was 503',
                  },
                  {
                    at: '2026-11-22T19:00:05.301Z',
                    status_code: 204,
                    duration_ms: 12,
                    response: '',
                    error: null,
                  },
                ],
                next_attempt_at: null,
                created_at: EXAMPLE.completedAt,
                completed_at: '2026-11-22T19:00:05.313000Z',
              },
            ],
            next_cursor: null,
          },
        ),
      },
    },
    problems: { not_found: 'There is no endpoint as `endpoint` says, or the API key may not see it.' },
  },
} satisfies Operations;
