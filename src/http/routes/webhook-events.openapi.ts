/** What is sent to endpoints, in the API's document: its `webhooks`. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { TEST_EVENT } from '../../domain/webhook.ts';
import { WEBHOOK_ID } from '../../domain/webhook-ids.ts';
import { NAMESPACE, OBJECT_ID } from '../../domain/write-schema.ts';
import { EXAMPLE, named, STAMP, schemaOf, TIME } from '../openapi/schemas.ts';
import { RESULT_EXAMPLE, result } from './requests.openapi.ts';

const ACCEPTED_AT = TIME.meta({ ...TIME.meta(), description: 'When the write was accepted.' });

const succeeded = named(
  'WorkflowSucceeded',
  z.strictObject({
    type: z.literal('workflow.succeeded'),
    namespace: NAMESPACE,
    id: OBJECT_ID,
    request_id: REQUEST_ID,
    accepted_at: ACCEPTED_AT,
    stamp: STAMP,
    url: result.shape.url,
    metadata: result.shape.metadata,
    output: result.shape.output,
  }),
  'An object was stored, or was overtaken by a later write.',
);

const failed = named(
  'WorkflowFailed',
  z.strictObject({
    type: z.literal('workflow.failed'),
    namespace: NAMESPACE,
    id: z.string().meta({ description: 'Empty where it has none that is valid.' }),
    request_id: REQUEST_ID,
    accepted_at: ACCEPTED_AT,
    stamp: STAMP,
    error: z.string(),
  }),
  'An object could not be stored, or not be evaluated.',
);

const test = named(
  'WebhookTestEvent',
  z.looseObject({ type: z.literal(TEST_EVENT), request_id: REQUEST_ID, accepted_at: TIME }),
  'Somebody tries the endpoint out. It is about no object.',
);

const PLACE = {
  namespace: EXAMPLE.namespace,
  id: EXAMPLE.objectId,
  request_id: EXAMPLE.requestId,
  accepted_at: EXAMPLE.acceptedAt,
  stamp: EXAMPLE.stamp,
};

const EVENTS = {
  'workflow.succeeded': {
    id: 'onWorkflowSucceeded',
    summary: 'An object was stored',
    schema: succeeded,
    example: {
      type: 'workflow.succeeded',
      ...PLACE,
      url: RESULT_EXAMPLE.url,
      metadata: RESULT_EXAMPLE.metadata,
      output: RESULT_EXAMPLE.output,
    },
  },
  'workflow.failed': {
    id: 'onWorkflowFailed',
    summary: 'An object could not be stored or evaluated',
    schema: failed,
    example: { type: 'workflow.failed', ...PLACE, error: 'is not valid JSON' },
  },
  [TEST_EVENT]: {
    id: 'onWebhookTest',
    summary: 'A test',
    schema: test,
    example: { type: TEST_EVENT, request_id: EXAMPLE.requestId, accepted_at: EXAMPLE.acceptedAt },
  },
};

/** As Standard Webhooks has them. */
const HEADERS = [
  {
    name: 'webhook-id',
    description: 'Of the event: the same for all attempts. One that was seen already can be passed over.',
    schema: WEBHOOK_ID,
    example: EXAMPLE.webhookId,
  },
  {
    name: 'webhook-timestamp',
    description: 'When this attempt was made, in seconds since 1970.',
    schema: z.string().regex(/^\d+$/),
    example: '1795374000',
  },
  {
    name: 'webhook-signature',
    description:
      'For each secret of the endpoint `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64, separated by spaces.',
    schema: z.string(),
    example: 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
  },
].map(({ schema, ...header }) => ({ ...header, in: 'header', required: true, schema: schemaOf(schema) }));

/** The events, by their type. */
export function webhookEvents(): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(EVENTS).map(([type, { id, summary, schema, example }]) => [
      type,
      {
        post: {
          operationId: id,
          tags: ['Webhooks'],
          summary,
          description:
            'Comes at least once, in no order, signed as Standard Webhooks says. Verify the signature before anything else.',
          security: [],
          parameters: HEADERS,
          requestBody: {
            description: 'The event.',
            required: true,
            content: {
              'application/json': {
                schema: schemaOf(schema),
                examples: { example: { summary, value: example } },
              },
            },
          },
          responses: {
            '2XX': { description: 'It has arrived, within 15 seconds.' },
            '410': { description: 'Nothing is to be sent here any more: the endpoint is disabled.' },
            '4XX': {
              description: 'Tried again later, as everything but 2XX and 410. `Retry-After` says when.',
            },
          },
        },
      },
    ]),
  );
}
