/** `GET /v1/webhooks/deliveries`: what was sent to endpoints, or is to be, with each attempt. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { DELIVERY_STATUSES } from '../../domain/webhook.ts';
import { ENDPOINT_ID, isEndpointId, isWebhookId, WEBHOOK_ID } from '../../domain/webhook-ids.ts';
import { ProblemError } from '../../errors.ts';
import type { DeliveryPosition } from '../../store/webhook-deliveries.ts';
import { nextCursor, readPage, readQuery } from '../paging.ts';
import { deliveryJson } from '../webhook-json.ts';
import type { WebhookRouteDeps } from './webhook-endpoints.ts';
import { isAdmin, noSuchEndpoint, seenBy } from './webhook-endpoints.ts';

export const deliveriesQuery = z.object({
  endpoint: ENDPOINT_ID.optional().meta({ description: 'Lists the deliveries to this endpoint alone.' }),
  webhook_id: WEBHOOK_ID.optional().meta({
    description: 'Lists the deliveries of this event alone, whose `webhook-id` its receivers know.',
  }),
  status: z.enum(DELIVERY_STATUSES).optional().meta({
    description: 'Lists those alone that are at this point.',
  }),
});

export function webhookDeliveryRoute(app: FastifyInstance, { webhooks }: WebhookRouteDeps): void {
  app.get('/v1/webhooks/deliveries', { config: { access: { scope: 'read' } } }, async (request) => {
    const { limit, after } = readPage(request.query);
    const { endpoint, webhook_id, status } = readQuery(deliveriesQuery, request.query);
    const page = await webhooks.deliveries(seenBy(request), {
      endpointId: endpoint,
      webhookId: webhook_id,
      status,
      limit,
      after: after === undefined ? undefined : readPosition(after),
    });
    if (!page) throw noSuchEndpoint();
    const last = page.items.at(-1);
    return {
      data: page.items.map((delivery) => deliveryJson(delivery, isAdmin(request))),
      next_cursor: page.hasMore && last ? nextCursor(`${last.webhookId} ${last.endpointId}`) : null,
    };
  });
}

function readPosition(key: string): DeliveryPosition {
  const [webhookId = '', endpointId = ''] = key.split(' ');
  if (isWebhookId(webhookId) && isEndpointId(endpointId)) return { webhookId, endpointId };
  throw new ProblemError('invalid_request', 'query parameter cursor: this is the cursor of another list');
}
