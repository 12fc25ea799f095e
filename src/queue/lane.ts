/** The lanes of the queue: each has a BullMQ queue and workers of its own. */
import type { BatchPayload } from '../domain/batch.ts';

/**
 * Chunks of imports have a queue of their own beside that of all other batches, and workers of their own: so
 * single writes find a free worker however large the files are that are being imported.
 */
export const LANES = ['writes', 'imports'] as const;
export type Lane = (typeof LANES)[number];

/** The lane that a batch goes by. */
export function laneOf({ requests }: Pick<BatchPayload, 'requests'>): Lane {
  return requests.some((request) => request.import) ? 'imports' : 'writes';
}

/** The name of a lane's BullMQ queue. */
export function laneName(queueName: string, lane: Lane): string {
  return lane === 'writes' ? queueName : `${queueName}-${lane}`;
}
