/** The lanes of the queue: each has a BullMQ queue and workers of its own. */
import type { BatchPayload } from '../domain/batch.ts';

/**
 * Chunks of imports and replays have queues of their own beside that of all other batches, and workers of their own: so
 * single writes find a free worker however large the files are that are being imported, and however many replays wait.
 */
export const LANES = ['writes', 'imports', 'replays'] as const;
export type Lane = (typeof LANES)[number];

/** For each lane something. */
export type ByLane<T> = Readonly<Record<Lane, T>>;

export function byLane<T>(make: (lane: Lane) => T): ByLane<T> {
  return Object.fromEntries(LANES.map((lane) => [lane, make(lane)])) as Record<Lane, T>;
}

/** The sum over all lanes. */
export function total(counts: ByLane<number>): number {
  return LANES.reduce((sum, lane) => sum + counts[lane], 0);
}

/** The lane that a batch goes by. */
export function laneOf({ requests, replay }: Pick<BatchPayload, 'requests' | 'replay'>): Lane {
  if (replay) return 'replays';
  return requests.some((request) => request.import) ? 'imports' : 'writes';
}

/** The lanes, and a line that no worker takes anything from: jobs are added to it to see whether they can be. */
export type Line = Lane | 'trial';

/** The name of a line's BullMQ queue. */
export function laneName(queueName: string, lane: Line): string {
  return lane === 'writes' ? queueName : `${queueName}-${lane}`;
}
