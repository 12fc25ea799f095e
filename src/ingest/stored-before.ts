/** Whether a batch that comes a second time was stored the first time. */
import type { Batch } from '../domain/batch.ts';
import { requestIds } from '../domain/batch.ts';
import type { Queryable } from '../store/database.ts';
import { hasChunk } from '../store/imports.ts';
import { haveRows } from '../store/requests.ts';

/** Its requests, or its chunk, are recorded in the transaction that stores it, so they tell. */
export async function wasStored(on: Queryable, batch: Batch): Promise<boolean> {
  for (const { import: chunk } of batch.requests) {
    // A chunk is alone in its batch; the row of its import is there from the beginning.
    if (chunk) return hasChunk(on, chunk);
  }
  const ids = requestIds(batch);
  return (await haveRows(on, ids)).size === ids.length;
}
