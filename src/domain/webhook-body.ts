/**
 * What webhooks carry. Made as text: metadata and output are JSON text as Postgres has it, whose numbers JavaScript
 * would round.
 */
import { EMPTY_OUTPUT } from './output.ts';
import { isoFromMicros } from './time.ts';
import { TEST_EVENT } from './webhook.ts';

/** What there is to tell of. */
export interface WebhookEvent {
  /** One of `EVENT_TYPES`, or {@link TEST_EVENT}. */
  readonly type: string;
  readonly namespace: string;
  readonly objectId: string;
  readonly requestId: string;
  /** Microseconds since 1970. */
  readonly acceptedAt: number;
  /** Together with the request id it tells which of two events is about the later write. */
  readonly stamp: string;
  /** JSON text; undefined where there is none. */
  readonly metadata: string | undefined;
  /** JSON text; undefined where there is none. */
  readonly output: string | undefined;
  readonly error: string | undefined;
}

/**
 * Makes the body of a webhook.
 * @param url where the object can be read
 */
export function webhookBody(event: WebhookEvent, url: string): string {
  const { type, requestId, acceptedAt } = event;
  const members = [
    ['type', JSON.stringify(type)],
    ...objectOf(event),
    ['request_id', JSON.stringify(requestId)],
    ['accepted_at', JSON.stringify(isoFromMicros(acceptedAt))],
    ...detailsOf(event, url),
  ];
  return `{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
}

type Members = [name: string, value: string][];

/** A test is about no object. */
function objectOf({ type, namespace, objectId }: WebhookEvent): Members {
  if (type === TEST_EVENT) return [];
  return [
    ['namespace', JSON.stringify(namespace)],
    ['id', JSON.stringify(objectId)],
  ];
}

function detailsOf({ type, stamp, metadata, output, error }: WebhookEvent, url: string): Members {
  if (type === TEST_EVENT) return [];
  const order: Members = [['stamp', JSON.stringify(stamp)]];
  if (error !== undefined) return [...order, ['error', JSON.stringify(error)]];
  return [
    ...order,
    ['url', JSON.stringify(url)],
    ['metadata', metadata ?? '{}'],
    ['output', output ?? EMPTY_OUTPUT],
  ];
}
