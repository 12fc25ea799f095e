import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import type { StoreOutcome } from '../../src/ingest/store-outcome.ts';
import { ObjectsRefusedError } from '../../src/ingest/store-outcome.ts';
import { batchHandler } from '../../src/ingest/worker.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import type { Sleep } from '../../src/queue/wait-out.ts';
import { StoreUnavailableError } from '../../src/store/faults.ts';

/** The waits that were asked for, in milliseconds; each is cut short, or, where `held`, lasts until it is aborted. */
const clock = { waits: [] as number[], held: false };
const sleep: Sleep = (ms = 0, value, options) => {
  clock.waits.push(ms);
  return delay(clock.held ? 600_000 : 0, value, options);
};

const BATCH: Batch = {
  id: '01h2m7qdmdjckc30e1mnq6x000',
  version: 1,
  acceptedAt: 1,
  requests: [{ namespace: 'ns', ids: ['a'] }],
  objects: '{"id":"a"}',
};
const AWAY = new StoreUnavailableError('connection refused');
const STORED: StoreOutcome = { requests: 1, objects: 1, stored: 1, overtaken: 0, failed: 0 };

function databaseError(code: string): pg.DatabaseError {
  const error = new pg.DatabaseError('message that nobody should match on', 0, 'error');
  error.code = code;
  return error;
}

interface Line {
  readonly level: number;
  readonly batch: string;
  readonly attempt: number;
  readonly waitMs?: number;
}

/** A handler whose store does what `script` says, one step for each attempt, and stores from then on. */
function setUp(script: readonly (Error | StoreOutcome)[] = []) {
  const attempts: Batch[] = [];
  const lines: Line[] = [];
  const log = pino({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line) as Line) });
  const stopping = new AbortController();
  const handle = batchHandler(
    async (batch) => {
      const step = script[attempts.length] ?? STORED;
      attempts.push(batch);
      if (step instanceof Error) throw step;
      return step;
    },
    log,
    {},
    sleep,
  );
  const logged = (level: string) => lines.filter((line) => line.level === log.levels.values[level]);
  return { attempts, lines, logged, stopping, run: () => handle(BATCH, stopping.signal) };
}

describe('batchHandler', () => {
  beforeEach(() => {
    clock.waits.length = 0;
    clock.held = false;
  });

  it('stores a batch once and is done', async () => {
    const { run, attempts, lines } = setUp();
    await run();
    expect(attempts).toEqual([BATCH]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      ...{ batch: BATCH.id, outcome: 'stored', lane: 'writes', bytes: 10, attempts: 1 },
      ...{ requests: 1, objects: 1, stored: 1, overtaken: 0, failed: 0 },
    });
    for (const time of ['storeMs', 'ms', 'sinceAcceptedMs']) {
      expect(lines[0], time).toHaveProperty(time, expect.any(Number));
    }
  });

  it('is done also where some objects were kept as failed, and warns', async () => {
    const { run, attempts, logged } = setUp([
      { requests: 1, objects: 5, stored: 2, overtaken: 1, failed: 2 },
    ]);
    await run();
    expect(attempts).toHaveLength(1);
    expect(logged('warn')).toMatchObject([{ batch: BATCH.id, objects: 5, overtaken: 1, failed: 2 }]);
  });

  it('tries the same batch until it is stored', async () => {
    const { run, attempts, logged } = setUp([AWAY, AWAY]);
    await run();
    expect(attempts).toEqual([BATCH, BATCH, BATCH]);
    // The second wait within ten seconds has no line of its own.
    expect(logged('warn')).toMatchObject([{ batch: BATCH.id, attempt: 1 }]);
    expect(logged('info')).toMatchObject([{ attempts: 3, outcome: 'stored' }]);
    expect(logged('error')).toEqual([]);
  });

  it('waits twice as long after each attempt, and lets go of the batch where Postgres stays away', async () => {
    const { run, attempts, logged } = setUp(Array(200).fill(AWAY));
    await expect(run()).rejects.toBe(AWAY);
    expect(attempts).toHaveLength(6);
    const told = [200, 400, 800, 1_600, 3_200];
    expect(logged('warn').at(-1)).toMatchObject({ batch: BATCH.id, attempts: 6, outcome: 'kept' });
    expect(clock.waits).toHaveLength(told.length);
    for (const [i, ms] of clock.waits.entries()) {
      expect(ms).toBeGreaterThanOrEqual((told[i] ?? 0) / 2);
      expect(ms).toBeLessThanOrEqual(told[i] ?? 0);
    }
  });

  it.each([
    ['at once', false, []],
    ['after a moment where nothing can be stored at all', true, [expect.any(Number)]],
  ])('gives back what is refused, %s', async (_, isBroken, waits) => {
    const done: StoreOutcome = { requests: 2, objects: 3, stored: 3, overtaken: 0, failed: 0 };
    const refused = { objects: 1, sqlStates: ['55000'], isBroken, isLocked: false };
    const error = new ObjectsRefusedError(refused, done, isBroken ? 3 : 2, databaseError('55000'));
    const { run, attempts, logged } = setUp([error]);
    await expect(run()).rejects.toBe(error);
    expect(attempts).toHaveLength(1);
    expect(clock.waits).toEqual(waits);
    expect(logged('warn')).toMatchObject([
      {
        ...done,
        requests: 1,
        batch: BATCH.id,
        outcome: 'refused',
        refusedObjects: 1,
        sqlStates: ['55000'],
        refusals: 3,
      },
    ]);
  });

  it('does not come back at the same moment as other workers', async () => {
    await Promise.all(Array.from({ length: 20 }, () => setUp([AWAY]).run()));
    expect(new Set(clock.waits).size).toBeGreaterThan(10);
  });

  it.each([
    ['a bug', new TypeError('undefined is not a function')],
    ['a missing table', databaseError('42P01')],
    ['a missing right', databaseError('42501')],
    ['an answer about no object', databaseError('55000')],
    ['an error with a code that is not from Postgres', Object.assign(new Error('x'), { code: '57P01' })],
  ])('leaves %s to the queue at once', async (_, error) => {
    const { run, attempts, logged } = setUp([error]);
    await expect(run()).rejects.toBe(error);
    expect(attempts).toHaveLength(1);
    expect(logged('error')).toMatchObject([{ batch: BATCH.id, attempts: 1, outcome: 'kept' }]);
  });

  it('leaves the unexpected to the queue also after it has waited', async () => {
    const bug = new TypeError('x');
    const { run, attempts } = setUp([AWAY, bug]);
    await expect(run()).rejects.toBe(bug);
    expect(attempts).toHaveLength(2);
  });

  it('gives the batch back when the worker stops while it waits', async () => {
    clock.held = true;
    const { run, attempts, stopping } = setUp([AWAY]);
    const handled = run();
    handled.catch(() => undefined);
    await vi.waitFor(() => expect(clock.waits).toHaveLength(1));
    stopping.abort();
    await expect(handled).rejects.toThrow(HandedBackError);
    expect(attempts).toHaveLength(1);
  });

  it('gives the batch back after one attempt when the worker is stopping already', async () => {
    const { run, attempts, stopping } = setUp([AWAY]);
    stopping.abort();
    await expect(run()).rejects.toThrow(HandedBackError);
    expect(attempts).toHaveLength(1);
  });

  it('finishes what it can store though the worker is stopping', async () => {
    const { run, attempts, stopping } = setUp();
    stopping.abort();
    await run();
    expect(attempts).toHaveLength(1);
  });
});
