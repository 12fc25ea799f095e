/** Webhooks: what is sent to whom. Signatures follow Standard Webhooks (standardwebhooks.com). */

/** The events that an endpoint may ask for. */
export const EVENT_TYPES = ['workflow.succeeded', 'workflow.failed'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** What is sent when somebody tries an endpoint out; no endpoint has to ask for it. */
export const TEST_EVENT = 'webhook.test';

/** Why nothing is sent to an endpoint: somebody asked for it; it has answered 410; it has failed for days. */
export const DISABLED_REASONS = ['requested', 'gone', 'failing'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** Where events are sent to. */
export interface WebhookEndpoint {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  /** Whose events; undefined: those of all namespaces. */
  readonly namespaces: readonly string[] | undefined;
  readonly events: readonly EventType[];
  /** Deliveries for each second; undefined: no limit. */
  readonly rate: number | undefined;
  readonly disabled: { readonly at: Date; readonly reason: DisabledReason } | undefined;
  /** Since when nothing has been delivered though it was tried. */
  readonly failingSince: Date | undefined;
  /** The API key that made it, and the one that has set its URL; undefined: not known, it was made by an earlier version. */
  readonly createdBy: string | undefined;
  readonly urlSetBy: string | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export const DELIVERY_STATUSES = ['pending', 'succeeded', 'failed'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** One attempt to deliver, as it is kept with its delivery and shown. */
export interface DeliveryAttempt {
  /** When it began, RFC 3339. */
  readonly at: string;
  /** Null where no answer came. */
  readonly status_code: number | null;
  readonly duration_ms: number;
  /** The beginning of the answer's body, at most 1 KiB. */
  readonly response: string;
  /** Why it has failed; null where it has not. */
  readonly error: string | null;
}
