/** What a worker does around the evaluation of batches: waiting out, giving back and waking. */
import pg from 'pg';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { EvaluationOutcome } from '../../src/evaluation/evaluate-batch.ts';
import { evaluationHandler } from '../../src/evaluation/worker.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import { StoreUnavailableError } from '../../src/store/faults.ts';

const DONE: EvaluationOutcome = {
  ...{ requests: 1, objects: 3, succeeded: 3, failed: 0, timedOut: 0, skipped: 0 },
};

/** A handler whose evaluation does what `script` says, one step for each attempt, and then ends well. */
function setUp(script: readonly (Error | EvaluationOutcome)[] = []) {
  let attempts = 0;
  const lines: { level: number; msg: string; outcome?: string }[] = [];
  const log = pino({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line) as never) });
  const stopping = new AbortController();
  const handle = evaluationHandler(async () => {
    const step = script[attempts] ?? DONE;
    attempts += 1;
    if (step instanceof Error) throw step;
    return step;
  }, log);
  return { lines, stopping, attempts: () => attempts, run: () => handle('batch', stopping.signal) };
}

const WARN = 40;

describe('the handler of an evaluation', () => {
  it('logs a line for a batch, a warning where some of it failed, and none where nothing waited', async () => {
    const fine = setUp();
    await fine.run();
    expect(fine.lines).toMatchObject([
      { level: 30, batch: 'batch', ...DONE, attempts: 1, ms: expect.any(Number) },
    ]);
    const failed = setUp([{ ...DONE, succeeded: 2, timedOut: 1 }]);
    await failed.run();
    expect(failed.lines).toMatchObject([{ level: WARN, timedOut: 1 }]);
    const nothing = setUp([{ ...DONE, requests: 0, objects: 0, succeeded: 0 }]);
    await nothing.run();
    expect(nothing.lines).toEqual([]);
  });

  it('waits out that Postgres is away', async () => {
    const { run, attempts, lines } = setUp([new StoreUnavailableError('refused')]);
    await run();
    expect(attempts()).toBe(2);
    expect(lines).toMatchObject([
      { level: WARN, attempt: 1, waitMs: 200 },
      { level: 30, attempts: 2 },
    ]);
  });

  it('leaves whatever else goes wrong to the queue', async () => {
    const error = new pg.DatabaseError('no such table', 0, 'error');
    error.code = '42P01';
    const { run, attempts } = setUp([error]);
    await expect(run()).rejects.toBe(error);
    expect(attempts()).toBe(1);
  });

  it('gives the task back where the worker stops, in the middle as well as while it waits', async () => {
    const middle = setUp([new HandedBackError('the worker stops')]);
    await expect(middle.run()).rejects.toBeInstanceOf(HandedBackError);
    const waiting = setUp(Array(20).fill(new StoreUnavailableError('refused')));
    const ended = expect(waiting.run()).rejects.toBeInstanceOf(HandedBackError);
    waiting.stopping.abort();
    await ended;
    expect(waiting.attempts()).toBe(1);
  });
});
