/** What a webhook looks like: its body, its signature, and when it comes again. */
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { pauseAfter, RETRY_SCHEDULE, retryDelay } from '../../src/domain/retry-schedule.ts';
import type { WebhookEvent } from '../../src/domain/webhook-body.ts';
import { webhookBody } from '../../src/domain/webhook-body.ts';
import { webhookHeaders } from '../../src/domain/webhook-signature.ts';

const EVENT: WebhookEvent = {
  type: 'workflow.succeeded',
  namespace: 'products',
  objectId: 'a "quoted" id',
  requestId: 'req_01h2m7qdmdjckc30e1mnq6xqfd',
  acceptedAt: 1_763_985_600_123_456,
  stamp: '7',
  metadata: undefined,
  output: undefined,
  error: undefined,
};

describe('the body of a webhook', () => {
  it('has the metadata and the output to the digit', () => {
    const metadata = '{"n": 12345678901234567890, "price": 1.10}';
    const output = '{"actions": [1e2], "labels": [], "fields": {"x": 1.0}}';
    const body = webhookBody({ ...EVENT, metadata, output }, 'https://inlet.example/x');
    expect(body).toBe(
      String.raw`{"type":"workflow.succeeded","namespace":"products","id":"a \"quoted\" id",` +
        '"request_id":"req_01h2m7qdmdjckc30e1mnq6xqfd","accepted_at":"2025-11-24T12:00:00.123456Z","stamp":"7",' +
        `"url":"https://inlet.example/x","metadata":${metadata},"output":${output}}`,
    );
    JSON.parse(body);
  });

  it('has empty ones where there are none', () => {
    expect(JSON.parse(webhookBody(EVENT, 'u'))).toMatchObject({
      metadata: {},
      output: { actions: [], labels: [], fields: {} },
    });
  });

  it('says why an object failed, and nothing of metadata then', () => {
    const body = JSON.parse(webhookBody({ ...EVENT, type: 'workflow.failed', error: 'too "long"' }, 'u'));
    expect(Object.keys(body)).toEqual([
      'type',
      'namespace',
      'id',
      'request_id',
      'accepted_at',
      'stamp',
      'error',
    ]);
    expect(body.error).toBe('too "long"');
  });

  it('of a test has no more than what there is', () => {
    const test = { ...EVENT, type: 'webhook.test', namespace: '', objectId: '' };
    expect(JSON.parse(webhookBody(test, 'u'))).toEqual({
      type: 'webhook.test',
      request_id: EVENT.requestId,
      accepted_at: '2025-11-24T12:00:00.123456Z',
    });
  });
});

describe('the signature of a webhook', () => {
  // The example of https://github.com/standard-webhooks/standard-webhooks (libraries, test of the signature).
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

  it('is that of the specification', () => {
    const headers = webhookHeaders(
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1_614_265_330,
      Buffer.from('{"test": 2432232314}'),
      [secret],
    );
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('is there once for each secret', () => {
    const other = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
    const seconds = Math.floor(Date.now() / 1_000);
    const body = '{"text": "ü"}';
    const headers = webhookHeaders('msg_1', seconds, Buffer.from(body), [secret, other]);
    expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
    for (const one of [secret, other]) new Webhook(one).verify(body, headers);
    expect(() => new Webhook(`whsec_${'A'.repeat(32)}`).verify(body, headers)).toThrow();
  });
});

describe('the schedule of retries', () => {
  it('takes about three days, and then there is none', () => {
    const delays = RETRY_SCHEDULE.map((_, i) => retryDelay(i + 1, RETRY_SCHEDULE, 0.5));
    expect(delays).toEqual(
      [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map((seconds) => seconds * 1_000),
    );
    expect(retryDelay(10)).toBeUndefined();
  });

  it('is spread by a tenth to either side', () => {
    expect(retryDelay(1, RETRY_SCHEDULE, 0)).toBe(4_500);
    expect(retryDelay(1, RETRY_SCHEDULE, 1)).toBe(5_500);
    const many = new Set(Array.from({ length: 20 }, () => retryDelay(9)));
    expect(many.size).toBeGreaterThan(1);
  });
});

describe('how long a receiver is left alone', () => {
  const now = Date.parse('2026-11-24T12:00:00Z');

  it.each([
    [503, undefined, undefined],
    [429, undefined, 10_000],
    [429, '120', 120_000],
    [503, '120', 120_000],
    [503, ' 5 ', 5_000],
    [503, '0', 0],
    [503, 'Tue, 24 Nov 2026 12:00:30 GMT', 30_000],
    [503, 'Tuesday, 24-Nov-26 12:00:30 GMT', 30_000],
    [503, 'Tue, 24 Nov 2026 11:00:00 GMT', 0],
    // Never longer than a day.
    [503, '9999999999', 24 * 3_600_000],
    [503, 'Tue, 24 Nov 2099 12:00:00 GMT', 24 * 3_600_000],
    // What is none is as if it weren't there.
    [503, 'soon', undefined],
    [503, '-5', undefined],
    [503, '1.5', undefined],
    [503, '', undefined],
    [429, 'later', 10_000],
  ])('after %i with Retry-After %s is %s ms', (status, retryAfter, ms) => {
    expect(pauseAfter(status, retryAfter, now)).toBe(ms);
  });
});
