/** A download of many megabytes from a process that could not hold a quarter of them: it would die rather than be slow. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, inject } from 'vitest';
import { lockObjects, openWithoutReading, readOn } from '../support/downloads.ts';
import { inletTest } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';

const COUNT = 10_000;
const TOTAL_BYTES = 200_000_000;

const test = inletTest()
  .extend('api', { scope: 'file' }, ({ databaseUrl }, { onCleanup }) => {
    const redisUrl = inject('redisUrl');
    const api = new InletProcess(['api'], {
      DATABASE_URL: databaseUrl,
      ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
      INLET_API_KEYS: KEY,
      PORT: '0',
      NODE_OPTIONS: '--max-old-space-size=48',
    });
    onCleanup(() => api.close());
    return api;
  })
  .extend('url', { scope: 'file' }, async ({ api, databaseUrl, inlet }) => {
    const schema = { text: { content_type: 'metadata' } };
    const data = Array.from({ length: COUNT }, (_, i) => ({ id: `object-${i}`, text: 'x' }));
    const requestId = await inlet.write('heavy', JSON.stringify({ schema, data }));
    await inlet.done('heavy', requestId);
    await query(
      databaseUrl,
      `UPDATE inlet.objects SET data = data || jsonb_build_object('text', repeat(md5(id), 640)) WHERE namespace = 'heavy'`,
    );
    const path = `/v1/data/heavy/requests/${requestId}/results/download-url`;
    const headers = { authorization: `Bearer ${KEY}` };
    const response = await fetch((await api.apiUrl()) + path, { headers });
    const answer = (await response.json()) as { data_count: number; data_url: string };
    expect(answer.data_count).toBe(COUNT);
    return answer.data_url;
  });

/** What a process takes of the machine's memory, in bytes. */
async function memory({ pid }: InletProcess): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]);
  return Number(stdout) * 1_024;
}

/** How many line ends there are in a part of a file. */
function linesIn(chunk: Uint8Array): number {
  let count = 0;
  for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) count += 1;
  return count;
}

describe('a download of 10,000 objects with 200 MB of metadata', () => {
  test('comes whole from a process with little memory, and leaves it small', async ({ api, url }) => {
    const before = await memory(api);
    let peak = before;
    const response = await fetch(url);
    let bytes = 0;
    let lines = 0;
    for await (const chunk of response.body ?? []) {
      // Every 10 MB or so.
      if (Math.floor(bytes / 10_000_000) < Math.floor((bytes + chunk.length) / 10_000_000)) {
        peak = Math.max(peak, await memory(api));
      }
      bytes += chunk.length;
      lines += linesIn(chunk);
    }
    expect(lines).toBe(COUNT);
    expect(bytes).toBeGreaterThan(TOTAL_BYTES);
    expect(peak - before).toBeLessThan(TOTAL_BYTES / 2);
  });

  test('stops asking Postgres while the reader does not read, and goes on when it does', async ({
    api,
    url,
    store,
  }) => {
    const before = await memory(api);
    const socket = await openWithoutReading(url);
    const objectsLock = await lockObjects(store);
    expect((await memory(api)) - before).toBeLessThan(TOTAL_BYTES / 4);
    const read = readOn(socket);
    await waitFor('the API to ask for more', () => objectsLock.isAwaited());
    await objectsLock.release();
    expect(await read).toBeGreaterThan(TOTAL_BYTES);
  });

  test('asks Postgres no more when the reader goes away', async ({ api, url, store }) => {
    const socket = await openWithoutReading(url);
    const objectsLock = await lockObjects(store);
    socket.destroy();
    await waitFor('the API to see that', () =>
      api.stdout.split('\n').some((line) => line.includes('"aborted":true')),
    );
    expect(await objectsLock.staysUnasked()).toBe(true);
  });
});
