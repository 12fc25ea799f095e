/** Traces, and none where nobody takes them. The tests on both queues are in test/deep. */
import { describe, expect, inject, it } from 'vitest';
import { startTracing } from '../../src/telemetry/tracing.ts';
import { inletTest } from '../support/fixtures.ts';
import { testTraces, withTraces } from '../support/trace-tests.ts';

it('nothing is traced unless somebody takes the traces', async () => {
  const tracing = startTracing({ otlpEndpoint: undefined, role: 'api', log: undefined as never });
  expect(await tracing).toBeUndefined();
});

const test = withTraces(inletTest());

describe('traces', () => testTraces(test, inject('redisUrl') === null ? 'postgres' : 'redis'));
