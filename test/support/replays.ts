/** Failed objects of a namespace, and jobs that replay them. */
import type { Batch, Replay } from '../../src/domain/batch.ts';
import { REPLAY_VERSION } from '../../src/domain/batch.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { StoreObserver } from '../../src/ingest/store-outcome.ts';
import type { Database } from '../../src/store/database.ts';
import { countFailed } from '../../src/store/failed-list.ts';
import { newBatchId, object } from './batches.ts';

/** An object that is refused for as long as a test wants it to be. */
export const bad = (id: string, members = {}) => object(id, { ...members, refuse: 'now' });

/** A namespace on a database, its objects, and what of them has failed. */
export function namespaceOn(database: Database, namespace: string) {
  const rows = (text: string): Promise<Record<string, unknown>[]> =>
    database.query({ text, values: [namespace] });
  /** A job that replays what has failed until now, as it comes out of the queue. */
  const replayJob = async (which: Partial<Replay> = {}): Promise<Batch> => {
    const { at: failedBefore } = await countFailed(database, { namespace });
    const job = {
      version: REPLAY_VERSION,
      requests: [],
      objects: '',
      acceptedAt: Date.now() * 1_000,
    } as const;
    return { ...job, id: newBatchId(), replay: { namespace, order: 'original', failedBefore, ...which } };
  };
  return {
    namespace,
    rows,
    replayJob,
    run: async (which: Partial<Replay> = {}, observer: StoreObserver = {}) =>
      storeBatch(database, await replayJob(which), observer),
    failedRows: () => rows('SELECT index FROM inlet.failed_objects WHERE namespace = $1 ORDER BY index'),
    requestRows: () =>
      rows('SELECT status, objects, failed FROM inlet.requests WHERE namespace = $1 ORDER BY request_id'),
    values: () =>
      rows(
        `SELECT id, data ->> 'v' AS v, revision::int AS revision FROM inlet.objects WHERE namespace = $1 ORDER BY id`,
      ),
  };
}
