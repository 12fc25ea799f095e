/** Traces on both queues, and a collector that is away. */
import { expect, onTestFinished } from 'vitest';
import { describeOnBothQueues } from '../support/fixtures.ts';
import { testTraces, withTraces } from '../support/trace-tests.ts';
import { Traced } from '../support/traced.ts';

describeOnBothQueues('traces', testTraces, {}, withTraces);

describeOnBothQueues('traces', (test) => {
  test('a stop does not wait for a collector that is away', async ({ config }) => {
    const traced = await Traced.start(config);
    onTestFinished(() => traced.close());
    await traced.post('{"data": {"id": "a"}}');
    await traced.collector.close();
    const begun = performance.now();
    const ended = await Promise.all(traced.processes.map((process) => process.kill('SIGTERM')));
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    expect(performance.now() - begun).toBeLessThan(20_000);
  });
});
