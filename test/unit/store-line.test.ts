import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { StoreLine } from '../../src/ingest/store-line.ts';
import type { StoreOutcome } from '../../src/ingest/store-outcome.ts';
import { StoreUnavailableError } from '../../src/store/faults.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { lingered, settled, useFakeClock } from './held-sink.ts';

/** A transaction that the test ends. */
interface Held {
  readonly ids: readonly string[];
  /** Says that a part of it is done. */
  readonly goOn: () => void;
  readonly commit: () => void;
  readonly fail: (error: Error) => void;
}

function batchOf(id: string, padding = 0): Batch {
  const objects = [object(id, { padding: 'x'.repeat(padding) })];
  const batch = handMadeBatch(1, [{ namespace: 'ns', objects }]);
  return id.startsWith('again') ? { ...batch, isRetried: true } : batch;
}

function idOf(batch: Batch): string {
  return batch.requests[0]?.ids[0] ?? '';
}

/** A line whose transactions wait for the test; ids that begin with "own" share none. */
function setUp(concurrency = 1, mostBatches = 100) {
  const held: Held[] = [];
  const progress: string[] = [];
  const hold = (batches: readonly Batch[], goOn: () => void): Promise<StoreOutcome[]> =>
    new Promise((resolve, reject) => {
      const ids = batches.map(idOf);
      const outcomes = ids.map((_, stored) => ({ requests: 1, objects: 1, stored, overtaken: 0, failed: 0 }));
      held.push({ ids, goOn, commit: () => resolve(outcomes), fail: reject });
    });
  const line = new StoreLine(
    {
      alone: async (batch, onProgress) => {
        const [outcome] = await hold([batch], onProgress);
        if (!outcome) throw new Error('no outcome');
        return outcome;
      },
      together: hold,
      canShare: (batch) => !/^(own|again)/.test(idOf(batch)),
    },
    concurrency,
    mostBatches,
  );
  const store = (id: string, padding?: number): Promise<StoreOutcome> => {
    const outcome = line.store(batchOf(id, padding), () => progress.push(id));
    // What the test looks at later must not count as unhandled until then.
    outcome.catch(() => undefined);
    return outcome;
  };
  const transactions = () => held.map(({ ids }) => ids);
  return { held, line, progress, store, transactions };
}

beforeEach(useFakeClock);
afterEach(() => {
  vi.useRealTimers();
});

describe('a line of batches', () => {
  it('stores a batch at once when nothing runs', async () => {
    const { held, store, transactions } = setUp();
    const outcome = store('a');
    await settled();
    expect(transactions()).toEqual([['a']]);
    held[0]?.commit();
    expect(await outcome).toMatchObject({ stored: 0 });
  });

  it('never lets batches that were tried before have all transactions', async () => {
    const { held, store, transactions } = setUp(2);
    void store('again-a');
    void store('again-b');
    const other = store('c');
    await lingered();
    expect(transactions()).toEqual([['again-a'], ['c']]);
    held[1]?.commit();
    await other;
    await lingered();
    expect(transactions()).toHaveLength(2);
    held[0]?.commit();
    await lingered();
    expect(transactions()).toEqual([['again-a'], ['c'], ['again-b']]);
  });

  it('runs as many transactions as it may, and stores what has come meanwhile in the next', async () => {
    const { held, store, transactions } = setUp(2);
    for (const id of ['a', 'b']) {
      void store(id);
      await lingered();
    }
    const waiting = ['c', 'd', 'e'].map((id) => store(id));
    await lingered();
    expect(transactions()).toEqual([['a'], ['b']]);
    held[1]?.commit();
    await settled();
    expect(transactions()).toEqual([['a'], ['b'], ['c', 'd', 'e']]);
    held[2]?.commit();
    // Each is told what became of itself.
    expect((await Promise.all(waiting)).map(({ stored }) => stored)).toEqual([0, 1, 2]);
  });

  it('lets those share that come in one turn of the event loop', async () => {
    const { store, transactions } = setUp();
    for (const id of ['a', 'b']) void store(id);
    await settled();
    expect(transactions()).toEqual([['a', 'b']]);
  });

  it('lets those share that come within some milliseconds after a transaction began', async () => {
    const { held, store, transactions } = setUp(4);
    void store('a');
    await settled();
    held[0]?.commit();
    void store('b');
    await settled();
    vi.advanceTimersByTime(7);
    void store('c');
    await settled();
    expect(transactions()).toEqual([['a']]);
    vi.advanceTimersByTime(1);
    await settled();
    expect(transactions()).toEqual([['a'], ['b', 'c']]);
    vi.advanceTimersByTime(8);
    void store('d');
    await settled();
    expect(transactions()).toEqual([['a'], ['b', 'c'], ['d']]);
  });

  it('does not linger for others where a batch may not share, or is as large as may be', async () => {
    const { store, transactions } = setUp(4);
    const large = 1024 * 1024;
    for (const [id, padding] of [['a'], ['own b'], ['c', large]] as const) {
      void store(id, padding);
      await settled();
    }
    expect(transactions()).toEqual([['a'], ['own b'], ['c']]);
  });

  it('does not linger when no more batches come', async () => {
    const { held, store, transactions } = setUp(4, 3);
    for (const id of ['a', 'b', 'c']) {
      void store(id);
      await settled();
    }
    expect(transactions()).toEqual([['a'], ['b', 'c']]);
    held[0]?.commit();
    await settled();
    void store('d');
    await settled();
    expect(transactions()).toEqual([['a'], ['b', 'c'], ['d']]);
  });

  it('lets linger what stands behind a batch that may not share', async () => {
    const { store, transactions } = setUp(4);
    for (const id of ['own a', 'b']) void store(id);
    await settled();
    expect(transactions()).toEqual([['own a']]);
    void store('c');
    await lingered();
    expect(transactions()).toEqual([['own a'], ['b', 'c']]);
  });

  it('keeps no timer when a transaction begins before its time', async () => {
    const { store, transactions } = setUp(4);
    for (const id of ['a', 'b', 'own c']) {
      void store(id);
      await settled();
    }
    expect(transactions()).toEqual([['a'], ['b'], ['own c']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('goes on where a transaction may begin only when another one has ended', async () => {
    const { held, store, transactions } = setUp();
    void store('a');
    await settled();
    void store('b');
    await lingered();
    await lingered();
    expect(transactions()).toEqual([['a']]);
    held[0]?.commit();
    await settled();
    expect(transactions()).toEqual([['a'], ['b']]);
  });

  it('stores what may not share on its own, in its turn', async () => {
    const { held, store, transactions } = setUp();
    for (const id of ['a', 'own b', 'own c', 'd', 'e']) void store(id);
    for (let i = 0; i < 4; i += 1) {
      await lingered();
      held[i]?.commit();
    }
    expect(transactions()).toEqual([['a'], ['own b'], ['own c'], ['d', 'e']]);
  });

  it('stores no more together than one batch may hold', async () => {
    const { held, store, transactions } = setUp();
    const half = 600 * 1024;
    void store('a', half);
    void store('b', half);
    void store('c');
    void store('larger than all', 2 * half);
    for (let i = 0; i < 3; i += 1) {
      await lingered();
      held[i]?.commit();
    }
    expect(transactions()).toEqual([['a'], ['b', 'c'], ['larger than all']]);
  });

  it('hands a fault of the infrastructure to all, who try again', async () => {
    const { held, store } = setUp();
    const outcomes = ['a', 'b'].map((id) => store(id));
    await settled();
    held[0]?.fail(new StoreUnavailableError('away'));
    for (const outcome of outcomes) await expect(outcome).rejects.toThrow('away');
    expect(held).toHaveLength(1);
    const again = store('a');
    await lingered();
    held[1]?.commit();
    await again;
  });

  it('stores each on its own where the fault is one of theirs, and fails that one alone', async () => {
    const { held, store, transactions } = setUp();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => store(id));
    await settled();
    const fault = new pg.DatabaseError('no', 0, 'error');
    fault.code = '22P05';
    held[0]?.fail(fault);
    for (const i of [1, 2, 3]) {
      await settled();
      if (i === 2) held[i]?.fail(fault);
      else held[i]?.commit();
    }
    await expect(a).resolves.toBeDefined();
    await expect(b).rejects.toThrow('no');
    await expect(c).resolves.toBeDefined();
    expect(transactions()).toEqual([['a', 'b', 'c'], ['a'], ['b'], ['c']]);
  });

  it('tells all of progress when their transaction begins', async () => {
    const { held, progress, store } = setUp();
    void store('a');
    await settled();
    for (const id of ['b', 'c']) void store(id);
    await settled();
    expect(progress).toEqual(['a']);
    held[0]?.commit();
    await lingered();
    expect(progress).toEqual(['a', 'b', 'c']);
  });

  it('tells those that wait of what is done before their turn comes', async () => {
    const { held, progress, store } = setUp();
    for (const id of ['own a', 'own b', 'own c']) void store(id);
    await settled();
    progress.length = 0;
    held[0]?.goOn();
    expect(progress).toEqual(['own a', 'own b', 'own c']);
    held[0]?.commit();
    await settled();
    progress.length = 0;
    held[1]?.goOn();
    expect(progress).toEqual(['own b', 'own c']);
  });

  it('tells those of progress that are stored one by one since one of them was refused', async () => {
    const { held, progress, store, transactions } = setUp();
    for (const id of ['a', 'b', 'c']) void store(id);
    await settled();
    const fault = new pg.DatabaseError('no', 0, 'error');
    fault.code = '22P05';
    held[0]?.fail(fault);
    await settled();
    expect(transactions()).toEqual([['a', 'b', 'c'], ['a']]);
    progress.length = 0;
    held[1]?.goOn();
    expect(progress).toEqual(['a', 'b', 'c']);
  });

  it('fails a batch that has no objects by itself, and goes on', async () => {
    const { held, line, store } = setUp();
    const { objects: _, ...broken } = batchOf('broken');
    const outcome = line.store(broken as Batch, () => undefined);
    outcome.catch(() => undefined);
    const next = store('a');
    await settled();
    await expect(outcome).rejects.toThrow(TypeError);
    held[0]?.commit();
    await expect(next).resolves.toBeDefined();
  });

  it('goes on with the next where it cannot tell of progress', async () => {
    const { held, line, store } = setUp();
    const outcome = line.store(batchOf('a'), () => {
      throw new Error('cannot tell');
    });
    await expect(outcome).rejects.toThrow('cannot tell');
    const next = store('b');
    await lingered();
    held[0]?.commit();
    await expect(next).resolves.toBeDefined();
  });
});
