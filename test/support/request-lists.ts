/** Lists of requests in tests, and races between them and the workers that finish the requests. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { RequestAnswer, TestInlet } from './inlet.ts';

export interface RequestPage {
  readonly data: readonly Omit<RequestAnswer, 'data' | 'errors'>[];
  readonly next_cursor: string | null;
}

/** The steps of a request that succeeds. */
const STEPS = ['queued', 'ingesting', 'succeeded'];

export async function requestPage(inlet: TestInlet, namespace: string, query: string): Promise<RequestPage> {
  const response = await inlet.fetch(`/v1/data/${namespace}/requests?${query}`);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return JSON.parse(text) as RequestPage;
}

/** All pages from the first one on. */
export async function listRequests(
  inlet: TestInlet,
  namespace: string,
  query = 'limit=500',
): Promise<RequestPage['data']> {
  const all: RequestPage['data'][number][] = [];
  let cursor = '';
  for (;;) {
    const { data, next_cursor } = await requestPage(inlet, namespace, query + cursor);
    all.push(...data);
    if (next_cursor === null) return all;
    cursor = `&cursor=${next_cursor}`;
  }
}

export function idsOf(requests: RequestPage['data']): string[] {
  return requests.map(({ request_id }) => request_id);
}

export function writeOne(inlet: TestInlet, namespace: string, id = 'x'): Promise<string> {
  return inlet.write(namespace, `{"data":{"id":"${id}"}}`);
}

/** Requests that share as few batches as possible, oldest first. */
export async function writeSeveral(inlet: TestInlet, namespace: string, count: number): Promise<string[]> {
  const written: string[] = [];
  for (let i = 0; i < count; i += 1) written.push(await writeOne(inlet, namespace));
  return written;
}

/** While this is running there is a worker. */
export async function withWorker<T>(inlet: TestInlet, use: () => Promise<T>): Promise<T> {
  const stop = await inlet.addWorker();
  try {
    return await use();
  } finally {
    await stop();
  }
}

/** Lists requests while others are written and all are finished: none is missing or there twice. */
export async function expectWholeLists(
  inlet: TestInlet,
  { requests, rounds }: { requests: number; rounds: number },
): Promise<void> {
  const frozen = await writeSeveral(inlet, 'moving', requests);
  let writing = true;
  const newer: string[] = [];
  const writer = (async () => {
    while (writing) {
      newer.push(await writeOne(inlet, 'moving'));
      await delay(20);
    }
  })();
  await withWorker(inlet, async () => {
    for (let round = 0; round < rounds; round += 1) {
      const all = idsOf(await listRequests(inlet, 'moving', 'limit=7'));
      expect(all).toEqual([...new Set(all)].sort().reverse());
      expect(all.filter((id) => id <= (frozen.at(-1) ?? ''))).toEqual(frozen.toReversed());
    }
    writing = false;
    await writer;
    for (const id of [...frozen, ...newer]) await inlet.done('moving', id);
  });
  expect(idsOf(await listRequests(inlet, 'moving'))).toEqual([...frozen, ...newer].reverse());
}

/** Asks for requests from the moment of the 202 until they are done: they never go missing, nor a step back. */
export async function expectFollowed(
  inlet: TestInlet,
  { atOnce, rounds }: { atOnce: number; rounds: number },
): Promise<void> {
  await withWorker(inlet, async () => {
    const seen = new Set<string>();
    const follow = async (): Promise<void> => {
      const requestId = await writeOne(inlet, 'follow');
      for (let last = 0; last < 2; ) {
        const { status } = await inlet.status('follow', requestId);
        const step = STEPS.indexOf(status);
        expect(step, `${status} after ${STEPS[last]}`).toBeGreaterThanOrEqual(last);
        last = step;
        seen.add(status);
      }
      const listed = (await listRequests(inlet, 'follow')).find((one) => one.request_id === requestId);
      expect(listed?.status).toBe('succeeded');
    };
    for (let round = 0; round < rounds; round += 1) await Promise.all(Array.from({ length: atOnce }, follow));
    expect(seen).toContain('succeeded');
  });
}

/** Lists the newest request from the moment of the 202 until it is done: it never goes missing, nor a step back. */
export async function expectWatched(inlet: TestInlet, rounds: number): Promise<void> {
  await withWorker(inlet, async () => {
    for (let round = 0; round < rounds; round += 1) {
      const requestId = await writeOne(inlet, 'watch');
      for (let last = 0; last < 2; ) {
        const [newest] = (await requestPage(inlet, 'watch', 'limit=1')).data;
        expect(newest?.request_id).toBe(requestId);
        const step = STEPS.indexOf(newest?.status ?? '');
        expect(step).toBeGreaterThanOrEqual(last);
        last = step;
      }
    }
  });
}
