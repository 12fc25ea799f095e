/** A receiver that is away does not fill the log, however much there is for it. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { WebhookEvent } from '../../src/domain/webhook-body.ts';
import { judgeAnswer } from '../../src/webhooks/attempt.ts';
import { conclude } from '../../src/webhooks/conclude.ts';
import { attemptReporter } from '../../src/webhooks/report.ts';
import { keptLog } from '../support/log.ts';

const EVENT: WebhookEvent = {
  ...{
    type: 'workflow.succeeded',
    namespace: 'n',
    objectId: 'o',
    requestId: 'req_1',
    acceptedAt: 0,
    stamp: '7',
  },
  ...{ metadata: undefined, output: undefined, error: undefined },
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function reporter() {
  const { log, lines } = keptLog();
  const report = attemptReporter(log);
  const attempt = (endpointId: string, status: number): void => {
    const base = { endpointId, webhookId: 'msg_1', tries: 0, begun: 0, durationMs: 1 };
    const made = { ...base, attempt: judgeAnswer(status, '') };
    report(made, EVENT, conclude(made, [1_000], true));
  };
  return { attempt, lines };
}

it('attempts that fail in the same way have one line in ten seconds, with how many were left out', () => {
  const { attempt, lines } = reporter();
  for (let i = 0; i < 100; i += 1) attempt('ep_1', 500);
  attempt('ep_1', 404);
  attempt('ep_2', 500);
  expect(lines.map(({ endpoint, status, leftOut }) => [endpoint, status, leftOut])).toEqual([
    ['ep_1', 500, undefined],
    ['ep_1', 404, undefined],
    ['ep_2', 500, undefined],
  ]);
  vi.advanceTimersByTime(10_001);
  // The line stands for itself too.
  expect(lines.at(-1)).toMatchObject({ endpoint: 'ep_1', status: 500, leftOut: 98 });
  expect(lines).toHaveLength(4);
});

it('endpoints that work do not push out what is known of those that do not', () => {
  const { attempt, lines } = reporter();
  for (let i = 0; i < 6_000; i += 1) {
    attempt(`ep_works_${i}`, 200);
    attempt('ep_1', 500);
  }
  expect(lines.filter(({ endpoint }) => endpoint === 'ep_1')).toHaveLength(1);
});
