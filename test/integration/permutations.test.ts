/**
 * What is left of several writes of an id doesn't depend on the order in which workers come to store them, nor on what
 * shares a transaction, nor on what is stored twice or fails first: all of that is tried, on the real SQL.
 */
import { describe, expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { REPLAY_VERSION } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch, storeTogether } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { countFailed } from '../../src/store/failed-list.ts';
import { handMadeBatch, newBatchId, object, seededRandom, shuffled } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { rounds } from '../support/rounds.ts';

const NS = 'permuted';
const test = inletTest({ prepare: prepareRefusals });

/** A write in the order in which they were accepted; `fails` is one that is refused at first, and replayed. */
type Op = 'write' | 'same' | 'delete' | 'fails';

/** A step of a worker: it stores the nth write, or replays it. */
type Step = { readonly store: number } | { readonly replay: number };

/** All orders of some items. */
function* orders<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (const [i, item] of items.entries()) {
    for (const rest of orders(items.toSpliced(i, 1))) yield [item, ...rest];
  }
}

/** All ways to divide a row of items into groups of neighbours. */
function* groupings<T>(items: readonly T[]): Generator<T[][]> {
  if (items.length === 0) yield [];
  for (let length = 1; length <= items.length; length += 1) {
    for (const rest of groupings(items.slice(length))) yield [items.slice(0, length), ...rest];
  }
}

/** Every way in which workers could come to store the writes: each order in which a replay follows its failure, each grouping. */
function waysOf(ops: readonly Op[]): Step[][][] {
  const steps: Step[] = ops.flatMap((op, n) =>
    op === 'fails' ? [{ store: n }, { replay: n }] : [{ store: n }],
  );
  const isPossible = (order: readonly Step[]): boolean =>
    order.every(
      (step, i) =>
        !('replay' in step) ||
        order.slice(0, i).some((before) => 'store' in before && before.store === step.replay),
    );
  return [...orders(steps)].filter(isPossible).flatMap((order) => [...groupings(order)]);
}

function batchesOf(ops: readonly Op[], id: string): Batch[] {
  return ops.map((op, n) => {
    const data = op === 'same' ? { v: 'same' } : { v: n };
    const member =
      op === 'delete'
        ? ([id, JSON.stringify(id)] as const)
        : object(id, op === 'fails' ? { ...data, refuse: 'now' } : data);
    return handMadeBatch(1_000_000 + n, [{ namespace: NS, objects: [member] }]);
  });
}

async function replay(database: Database, batch: Batch): Promise<void> {
  const { at: failedBefore } = await countFailed(database, { namespace: NS });
  const requestId = requestIdAt(batch.id, 0);
  await storeBatch(database, {
    ...{ version: REPLAY_VERSION, id: newBatchId(), acceptedAt: 9_000_000, requests: [], objects: '' },
    replay: { namespace: NS, requestId, order: 'original', failedBefore },
  });
}

/** What is there of an id at the end. Ids of requests differ in each way; their places in the order don't. */
async function leftOf(database: Database, id: string, batches: readonly Batch[]) {
  const [row] = await database.query<{ data: { v?: unknown } | null; request_id: string; revision: number }>({
    text: 'SELECT data, request_id, revision::int AS revision FROM inlet.objects WHERE namespace = $1 AND id = $2',
    values: [NS, id],
  });
  const revisions = await database.query<{ revision: number; request_id: string }>({
    text: `SELECT revision::int AS revision, request_id FROM inlet.revisions WHERE namespace = $1 AND id = $2 ORDER BY revision`,
    values: [NS, id],
  });
  const requests = await database.query<{ status: string; failed: number }>({
    text: 'SELECT status, failed FROM inlet.requests WHERE request_id = ANY ($1) ORDER BY accepted_at',
    values: [batches.map((batch) => requestIdAt(batch.id, 0))],
  });
  const place = (requestId: string | undefined) =>
    batches.findIndex((batch) => requestIdAt(batch.id, 0) === requestId);
  return {
    same: { v: row?.data?.v ?? null, write: place(row?.request_id), requests },
    history: {
      revision: row?.revision ?? 0,
      numbers: revisions.map(({ revision }) => revision),
      writes: revisions.map((one) => place(one.request_id)),
    },
  };
}

const CASES: readonly (readonly Op[])[] = [
  ['write', 'write', 'write'],
  ['write', 'delete', 'write'],
  ['same', 'write', 'same'],
  ['write', 'write', 'delete'],
  ['delete', 'same', 'same'],
  ['write', 'fails', 'write'],
  ['write', 'write', 'fails'],
  ['fails', 'delete'],
  ['fails', 'fails'],
];

/** How many of the ways of a case are gone in one round; all of them where there are no more. */
const WAYS = 10;

describe('writes of one id', () => {
  test.for(CASES)(
    '%s, %s, %s: end the same, whatever order they are stored in',
    async (ops, { databaseUrl, store: { database } }) => {
      const seed = Date.now();
      const random = seededRandom(seed);
      const last = ops.length - 1;
      const expected = {
        v: ops[last] === 'delete' ? null : ops[last] === 'same' ? 'same' : last,
        write: last,
        requests: ops.map(() => ({ status: 'succeeded', failed: 0 })),
      };
      const ways = shuffled(waysOf(ops), random).slice(0, rounds(WAYS));
      for (const [n, way] of ways.entries()) {
        const id = `${ops.join('-')}-${n}`;
        const batches = batchesOf(ops, id);
        const told = `seed ${seed}, ${JSON.stringify(way)}`;
        let refused = false;
        const refusing = async (isWanted: boolean) => {
          if (refused !== isWanted) await refuse(databaseUrl, ...(isWanted ? ['now'] : []));
          refused = isWanted;
        };
        const done: Batch[] = [];
        for (const group of way) {
          const stored = group.flatMap((step) => ('store' in step ? (batches[step.store] ?? []) : []));
          await refusing(true);
          // As a worker does: together, or each alone where one of them is refused.
          await storeTogether(database, stored).catch(async () => {
            for (const batch of stored) await storeBatch(database, batch);
          });
          await refusing(false);
          for (const step of group) {
            const batch = 'replay' in step ? batches[step.replay] : undefined;
            if (batch) await replay(database, batch);
          }
          done.push(...stored);
          // Now and then a job comes again, after whatever was stored since.
          const again = random() < 0.3 ? done[Math.floor(random() * done.length)] : undefined;
          if (again) await storeBatch(database, { ...again, isRetried: true });
        }
        const { same, history } = await leftOf(database, id, batches);
        expect(same, told).toEqual(expected);
        expect(history.numbers, told).toEqual(Array.from({ length: history.revision - 1 }, (_, i) => i + 1));
        expect(history.writes, told).toEqual([...history.writes].sort((a, b) => a - b));
      }
    },
  );
});
