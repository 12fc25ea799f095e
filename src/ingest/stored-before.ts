/** What of a batch that comes a second time was stored the first time. */
import type { Batch } from '../domain/batch.ts';
import { partOf, requestIds } from '../domain/batch.ts';
import type { Queryable } from '../store/database.ts';
import { hasChunk } from '../store/imports.ts';
import { haveRows } from '../store/requests.ts';

/**
 * Its requests, or its chunk, are recorded in the transaction that stores them, so they tell.
 * @returns what is still to be stored of it; undefined where nothing is
 */
export async function notYetStored(on: Queryable, batch: Batch): Promise<Batch | undefined> {
  for (const { import: chunk } of batch.requests) {
    // A chunk is alone in its batch; the row of its import is there from the beginning.
    if (chunk) return (await hasChunk(on, chunk)) ? undefined : batch;
  }
  const ids = requestIds(batch);
  const stored = await haveRows(on, ids);
  if (stored.size === 0) return batch;
  return stored.size < ids.length ? partOf(batch, (i) => !stored.has(ids[i] ?? '')) : undefined;
}
