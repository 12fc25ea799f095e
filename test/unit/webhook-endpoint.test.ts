import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { describe, expect, it } from 'vitest';
import { InvalidWriteError } from '../../src/domain/objects.ts';
import { readEndpointChanges, readNewEndpoint, readReplay } from '../../src/domain/webhook-endpoint.ts';
import {
  createEndpointId,
  createWebhookSecret,
  isEndpointId,
  isWebhookId,
  testWebhookId,
  WEBHOOK_SECRET,
} from '../../src/domain/webhook-ids.ts';

const anyUrl = (): undefined => undefined;

/** What is wrong with a body: the pointer of each place, and the message. */
function issuesOf(read: () => unknown): Record<string, string> {
  try {
    read();
  } catch (error) {
    if (!(error instanceof InvalidWriteError)) throw error;
    return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]));
  }
  return {};
}

const created = (body: unknown) => readNewEndpoint(JSON.stringify(body), anyUrl);

describe('ids and secrets', () => {
  it('of endpoints have a form of their own, and no two are the same', () => {
    const ids = Array.from({ length: 500 }, createEndpointId);
    for (const id of ids) expect(isEndpointId(id), id).toBe(true);
    expect(new Set(ids).size).toBe(500);
    for (const wrong of [
      '',
      'ep_',
      'ep_short',
      `${ids[0]}0`,
      `key_${ids[0]?.slice(3)}`,
      'ep_4eC39HqLyjWDarj\0',
    ])
      expect(isEndpointId(wrong), wrong).toBe(false);
  });

  it('secrets hold 32 random bytes', () => {
    const secrets = Array.from({ length: 500 }, createWebhookSecret);
    for (const secret of secrets) {
      expect(WEBHOOK_SECRET.safeParse(secret).success, secret).toBe(true);
      expect(Buffer.from(secret.slice('whsec_'.length), 'base64')).toHaveLength(32);
    }
    expect(new Set(secrets).size).toBe(500);
  });

  it.each([
    ['standardwebhooks', StandardWebhook],
    ['svix', SvixWebhook],
  ])('secrets are taken by %s', (_name, Webhook) => {
    const webhook = new Webhook(createWebhookSecret());
    const now = new Date();
    const signature = webhook.sign('msg_1', now, '{}');
    const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)) };
    expect(webhook.verify('{}', { ...headers, 'webhook-signature': signature })).toEqual({});
  });

  it('a test event is told by the request that asked for it', () => {
    const id = testWebhookId('req_01h2m7qdmdjckc30e1mnq6xqfd');
    expect(id).toBe('msg_01h2m7qdmdjckc30e1mnq6xqfd_test');
    expect(isWebhookId(id)).toBe(true);
  });
});

describe('a new endpoint', () => {
  it('needs a URL, and has defaults for all else', () => {
    expect(created({ url: 'https://x.example' })).toEqual({
      url: 'https://x.example',
      description: '',
      namespaces: null,
      events: ['workflow.succeeded', 'workflow.failed'],
      disabled: false,
      rate: null,
    });
    expect(Object.keys(issuesOf(() => created({})))).toEqual(['/url']);
  });

  it('names a namespace and an event once', () => {
    expect(
      created({ url: 'x', namespaces: ['a', 'b', 'a'], events: ['workflow.failed', 'workflow.failed'] }),
    ).toMatchObject({ namespaces: ['a', 'b'], events: ['workflow.failed'] });
  });

  it.each([
    ['/url', { url: 7 }],
    ['/url', { url: `https://x.example/${'x'.repeat(2_048)}` }],
    ['/description', { description: '😀'.repeat(1_001) }],
    ['/description', { description: 'a\0b' }],
    ['/description', { description: '\ud800' }],
    ['/namespaces', { namespaces: [] }],
    ['/namespaces', { namespaces: Array.from({ length: 1_001 }, (_, n) => `n${n}`) }],
    ['/namespaces/1', { namespaces: ['a', 'b c'] }],
    ['/events', { events: [] }],
    ['/events/0', { events: ['webhook.test'] }],
    ['/disabled', { disabled: 'no' }],
    ['/rate', { rate: 0 }],
    ['/rate', { rate: 1.5 }],
    ['/rate', { rate: 2 ** 31 }],
    ['/secret', { secret: 'whsec_x' }],
    ['/Namespaces', { Namespaces: ['a'] }],
    ['/a~1b', { 'a/b': 1 }],
  ])('is refused with a pointer to %s', (path, members) => {
    expect(Object.keys(issuesOf(() => created({ url: 'https://x.example', ...members })))).toEqual([path]);
    if (!('url' in members))
      expect(Object.keys(issuesOf(() => readEndpointChanges(JSON.stringify(members), anyUrl)))).toEqual([
        path,
      ]);
  });

  it('may have the longest description and the highest rate that there are', () => {
    const most = { description: '😀'.repeat(1_000), rate: 2 ** 31 - 1 };
    expect(created({ url: 'x', ...most })).toMatchObject(most);
  });

  it('names all that is wrong at once, also members called __proto__', () => {
    const read = () => readNewEndpoint('{"url":"x","rate":0,"__proto__":{},"more":1}', () => 'is no good');
    expect(issuesOf(read)).toMatchObject({ '/__proto__': 'is not known here', '/more': 'is not known here' });
    expect(Object.keys(issuesOf(read)).sort()).toEqual(['/__proto__', '/more', '/rate']);
    expect(issuesOf(() => readNewEndpoint('{"url":"x"}', () => 'is no good'))).toEqual({
      '/url': 'is no good',
    });
  });

  it.each(['', '[]', '7', 'null', '{'])('is not made of %j', (text) => {
    expect(Object.keys(issuesOf(() => readNewEndpoint(text, anyUrl)))).toEqual(['']);
  });
});

describe('changes of an endpoint', () => {
  it('are what is named, and nothing by itself', () => {
    expect(readEndpointChanges('{}', anyUrl)).toEqual({});
    expect(readEndpointChanges('{"namespaces":null,"rate":null,"disabled":false}', anyUrl)).toEqual({
      namespaces: null,
      rate: null,
      disabled: false,
    });
  });
});

describe('a replay', () => {
  it('is of what has failed unless it says all, since a time', () => {
    expect(readReplay('{"since":"2026-11-22T19:00:00.123456Z"}')).toEqual({
      since: new Date('2026-11-22T19:00:00.123Z'),
      status: 'failed',
    });
    expect(readReplay('{"since":"2026-11-22T20:00:00+01:00","status":"all"}')).toEqual({
      since: new Date('2026-11-22T19:00:00Z'),
      status: 'all',
    });
  });

  it.each([
    ['/since', '{}'],
    ['/since', '{"since":"yesterday"}'],
    ['/since', '{"since":"2026-11-22"}'],
    ['/since', '{"since":1795374000}'],
    ['/status', '{"since":"2026-11-22T19:00:00Z","status":"pending"}'],
    ['/until', '{"since":"2026-11-22T19:00:00Z","until":"2026-11-22T19:00:00Z"}'],
  ])('is refused with a pointer to %s: %s', (path, text) => {
    expect(Object.keys(issuesOf(() => readReplay(text)))).toEqual([path]);
  });
});
