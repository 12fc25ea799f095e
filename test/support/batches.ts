/** Batches made by hand, for tests that work behind the API. */
import type { Batch } from '../../src/domain/batch.ts';
import { PAYLOAD_VERSION } from '../../src/domain/batch.ts';
import { createBatchIds } from '../../src/domain/request-id.ts';

export const newBatchId = createBatchIds();

export interface HandMadeRequest {
  readonly namespace: string;
  /** Each object's id and its JSON text. */
  readonly objects: readonly (readonly [id: string, text: string])[];
}

/** A batch as the API would enqueue it, but with whatever objects and time are given. */
export function handMadeBatch(acceptedAt: number, requests: readonly HandMadeRequest[]): Batch {
  return {
    version: PAYLOAD_VERSION,
    id: newBatchId(),
    acceptedAt,
    requests: requests.map(({ namespace, objects }) => ({
      ...{ namespace, ids: objects.map(([id]) => id) },
      ...(isDelete(objects) ? { isDelete: true as const } : {}),
    })),
    objects: requests.flatMap(({ objects }) => objects.map(([, text]) => text)).join(','),
  };
}

/** A delete is a request of its own, with the id alone as a JSON string. */
function isDelete(objects: HandMadeRequest['objects']): boolean {
  return objects.length === 1 && objects[0]?.[1].startsWith('"') === true;
}

/** An object's id and JSON text. */
export function object(id: string, members: Record<string, unknown> = {}): readonly [string, string] {
  return [id, JSON.stringify({ id, ...members })];
}

/** A generator of numbers from 0 to below 1 that gives the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The items in a random order. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
