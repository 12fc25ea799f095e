/** What webhooks are told apart by, and the secrets that they are signed with. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { randomBase62 } from './base62.ts';

const ENDPOINT_PATTERN = /^ep_[0-9A-Za-z]{16}$/;
const WEBHOOK_PATTERN = /^msg_[0-9A-Za-z_]{1,128}$/;
const SECRET_BYTES = 32;

/** What the id of an endpoint looks like. */
export const ENDPOINT_ID = z.string().regex(ENDPOINT_PATTERN);

/** What the header `webhook-id` looks like: the request, and a place in it. */
export const WEBHOOK_ID = z.string().regex(WEBHOOK_PATTERN);

/** A signing secret as Standard Webhooks writes it: a prefix, and base64. */
export const WEBHOOK_SECRET = z.string().regex(/^whsec_[0-9A-Za-z+/]{43}=$/);

/** The id of an endpoint: `ep_` and 16 random characters. */
export function createEndpointId(): string {
  return `ep_${randomBase62(16)}`;
}

export function isEndpointId(text: string): boolean {
  return ENDPOINT_PATTERN.test(text);
}

export function isWebhookId(text: string): boolean {
  return WEBHOOK_PATTERN.test(text);
}

/** A new secret: 256 random bits, of the 192 to 512 that Standard Webhooks asks for. */
export function createWebhookSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
}

/** The `webhook-id` of a test event, of which a request makes at most one. */
export function testWebhookId(requestId: string): string {
  return `${requestId.replace(/^req_/, 'msg_')}_test`;
}
