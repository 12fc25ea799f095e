/** The headers of a webhook, by Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks */
import { createHmac } from 'node:crypto';

/** What secrets begin with; base64 follows. */
const SECRET_PREFIX = 'whsec_';

/**
 * Makes the headers by which a receiver knows whom a webhook is from, that it was not altered, and when it was sent.
 * @param id the same for all attempts
 * @param seconds when this attempt is made, seconds since 1970: receivers refuse what is older than five minutes
 * @param secrets those that are valid; a receiver has at least one of them
 */
export function webhookHeaders(
  id: string,
  seconds: number,
  body: Buffer,
  secrets: readonly string[],
): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': secrets.map((secret) => signature(id, seconds, body, secret)).join(' '),
  };
}

function signature(id: string, seconds: number, body: Buffer, secret: string): string {
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
  const digest = createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest('base64');
  return `v1,${digest}`;
}
