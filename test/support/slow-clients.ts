/** Clients that send, or read, slowly or not at all, in crowds. */
import { expect, onTestFinished } from 'vitest';
import type { TestInlet } from './inlet.ts';
import { RawClient } from './raw-client.ts';
import { waitFor } from './wait-for.ts';

/** So many clients, which all begin at once, for one test. */
export function crowd({ url }: TestInlet, begin: (client: RawClient) => void, count: number): RawClient[] {
  const made = Array.from({ length: count }, () => new RawClient(url));
  for (const client of made) begin(client);
  onTestFinished(() => {
    for (const client of made) client.close();
  });
  return made;
}

export const slowHeaders = (client: RawClient): unknown => client.request('POST /v1/data/slow');

/** Announces as much as a body may have, and sends little of it. */
export const slowBody = (client: RawClient): unknown =>
  client
    .request('POST /v1/data/slow', { 'content-type': 'application/json', 'content-length': 10 * 1024 * 1024 })
    .send(`\r\n{"data":{"id":"slow","v":"${'x'.repeat(1_000)}`);

export const idle = (client: RawClient): unknown => client.request('GET /healthz').send('\r\n');

/** Asks for more than all buffers between the two hold, and reads nothing. */
export function deaf(path: string): (client: RawClient) => void {
  return (client) => {
    client.request(`GET ${path}`).send('\r\n');
    client.socket.pause();
  };
}

/** Sends writes over a few connections, and returns how long each took until its 202, in milliseconds. */
async function writeTimes(server: TestInlet, count: number): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const started = performance.now();
      await server.write('normal', `{"data":{"id":"n${left}"}}`);
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: 8 }, one));
  return times;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Checks that writes take about as long beside so many slow connections of each kind as without them. */
export async function expectNobodyHeldUp(
  server: TestInlet,
  download: string,
  count: number,
  writes: number,
): Promise<void> {
  await writeTimes(server, writes);
  const alone = await writeTimes(server, writes);
  const slow = [slowHeaders, slowBody, idle, deaf(download)].flatMap((begin) => crowd(server, begin, count));
  const deafOnes = slow.slice(-count);
  await waitFor('all to have asked', () => deafOnes.every(({ socket }) => socket.bytesWritten > 0));
  // Something else on this machine may hold up a series.
  await waitFor('writes to take about as long as they did alone', async () => {
    const beside = await writeTimes(server, writes);
    expect(beside).toHaveLength(writes);
    // They are all there all the time, and none has got what it waits for.
    expect(slow.filter(({ isClosed }) => isClosed)).toHaveLength(0);
    return median(beside) < 5 * median(alone);
  });
}
