/** Slow clients in large crowds. */
import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { inletTest } from '../support/fixtures.ts';
import { largeDownload } from '../support/imports.ts';
import { KEY } from '../support/inlet.ts';
import { InletProcess } from '../support/process.ts';
import { RawClient } from '../support/raw-client.ts';
import { expectNobodyHeldUp } from '../support/slow-clients.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

const CROWD = 200;

test(`${CROWD} slow connections of each kind don't hold up normal traffic`, async ({ inlet }) => {
  await expectNobodyHeldUp(inlet, await largeDownload(inlet, 30), CROWD, 300);
});

const FEW_FILES = 1_024;
const MANY = 10_000;

test(`${MANY} connections that nobody uses, at a process that may open ${FEW_FILES} files`, {
  timeout: 120_000,
}, async ({ databaseUrl }) => {
  const settings = { DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0' };
  const inlet = new InletProcess(['api'], settings);
  onTestFinished(() => inlet.close());
  // Long before it looks how many it may open.
  execFileSync('prlimit', [`--pid=${inlet.pid}`, `--nofile=${FEW_FILES}:${FEW_FILES}`]);
  const url = await inlet.apiUrl();
  const opened: RawClient[] = [];
  onTestFinished(() => {
    for (const client of opened) client.close();
  });
  while (opened.length < MANY) {
    const some = Array.from({ length: 100 }, () => new RawClient(url));
    opened.push(...some);
    await Promise.all(
      some.map(
        ({ socket }) => socket.connecting && new Promise((resolve) => socket.once('connect', resolve)),
      ),
    );
  }
  const refused = () => opened.filter(({ text }) => text.startsWith('HTTP/1.1 503 '));
  await waitFor('those beyond the limit to be refused', () => refused().length > MANY / 2, 60_000);
  await waitFor('a place for one that asks', async () => {
    const client = new RawClient(url).request('GET /healthz', { connection: 'close' }).send('\r\n');
    return (await client.closed()).startsWith('HTTP/1.1 200 ');
  });
});
