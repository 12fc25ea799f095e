/** What may be said of an endpoint when it is made or changed, and of deliveries that are to be sent again. */
import { z } from 'zod';
import { MAX_NAMESPACES, MAX_RATE } from './api-key.ts';
import { isLongerThan } from './characters.ts';
import type { Issues } from './storable.ts';
import { readStrictBody } from './strict-body.ts';
import { EVENT_TYPES } from './webhook.ts';
import { NAMESPACE } from './write-schema.ts';

/** Longest URL, in UTF-16 code units; what proxies and servers take as well. */
const MAX_URL_LENGTH = 2_048;

/** Longest description, in Unicode characters. */
const MAX_DESCRIPTION_LENGTH = 1_000;

const URL_TEXT = z
  .string()
  .max(MAX_URL_LENGTH)
  .meta({
    description:
      'Where events are sent to, with POST: `https:`, without a user and without a fragment, and no private address, ' +
      'unless this server allows it.',
  });

const DESCRIPTION = z
  .string()
  .refine(
    (text) => !isLongerThan(text, MAX_DESCRIPTION_LENGTH),
    `must have at most ${MAX_DESCRIPTION_LENGTH} characters`,
  )
  .meta({ maxLength: MAX_DESCRIPTION_LENGTH, description: 'For people.' });

const NAMESPACES = z.array(NAMESPACE).min(1).max(MAX_NAMESPACES).transform(once).nullable().meta({
  description: 'Whose events are sent. Null: those of all namespaces that the API key may see.',
});

const EVENTS = z
  .array(z.enum(EVENT_TYPES))
  .min(1)
  .max(100)
  .transform(once)
  .meta({ description: 'Which events are sent.' });

const DISABLED = z.boolean().meta({
  description: 'Whether nothing is sent. A disabled endpoint gets no new events.',
});

const RATE = z.int().min(1).max(MAX_RATE).nullable().meta({
  description: 'Most deliveries for each second. Null: no limit.',
});

/** The body that makes an endpoint. */
export const NEW_ENDPOINT = z.strictObject({
  url: URL_TEXT,
  description: DESCRIPTION.default(''),
  namespaces: NAMESPACES.default(null),
  events: EVENTS.default([...EVENT_TYPES]),
  disabled: DISABLED.default(false),
  rate: RATE.default(null),
});
export type NewEndpoint = z.infer<typeof NEW_ENDPOINT>;

/** The body that changes an endpoint: what is left out stays as it is. */
export const ENDPOINT_CHANGES = z.strictObject({
  url: URL_TEXT.optional(),
  description: DESCRIPTION.optional(),
  namespaces: NAMESPACES.optional(),
  events: EVENTS.optional(),
  disabled: DISABLED.optional().meta({
    description:
      '`true`: nothing is sent. `false`: it is again, also where the receiver had asked for a pause.',
  }),
  rate: RATE.optional(),
});
export type EndpointChanges = z.infer<typeof ENDPOINT_CHANGES>;

/** The body that has deliveries sent again. */
export const REPLAY = z.strictObject({
  since: z.iso
    .datetime({ offset: true })
    .transform((text) => new Date(text))
    .meta({
      description: 'Only events that came at this time or later.',
      examples: ['2026-11-22T19:00:00Z'],
    }),
  status: z.enum(['failed', 'all']).default('failed').meta({
    description: '`failed`: those that could not be delivered. `all`: those that were, too.',
  }),
});
export type Replay = z.infer<typeof REPLAY>;

/** Tells what is wrong with a URL; undefined where nothing is. */
export type UrlMistake = (url: string) => string | undefined;

/** @throws InvalidWriteError */
export function readNewEndpoint(text: string, urlMistake: UrlMistake): NewEndpoint {
  return readStrictBody(text, NEW_ENDPOINT, '{"url": "https://…"}', checkUrl(urlMistake));
}

/** @throws InvalidWriteError */
export function readEndpointChanges(text: string, urlMistake: UrlMistake): EndpointChanges {
  return readStrictBody(text, ENDPOINT_CHANGES, '{"disabled": false}', checkUrl(urlMistake));
}

/** @throws InvalidWriteError */
export function readReplay(text: string): Replay {
  return readStrictBody(text, REPLAY, '{"since": "2026-11-22T19:00:00Z"}');
}

function checkUrl(urlMistake: UrlMistake) {
  return ({ url }: { url?: string | undefined }, issues: Issues): void => {
    const mistake = url === undefined ? undefined : urlMistake(url);
    if (mistake) issues.add(() => '/url', mistake);
  };
}

function once<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}
