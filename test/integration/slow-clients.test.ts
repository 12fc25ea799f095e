/** Clients that send, or read, slowly or not at all: they are ended in time, and hold up nobody else. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { HttpLimits } from '../../src/http/limits.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import { largeDownload, lines, newImport, uploaded } from '../support/imports.ts';
import { TestInlet } from '../support/inlet.ts';
import type { KeptLog } from '../support/log.ts';
import { keptLog } from '../support/log.ts';
import { openProvider, whenConnected } from '../support/queues.ts';
import type { RawClient } from '../support/raw-client.ts';
import { crowd, deaf, expectNobodyHeldUp, idle, slowBody, slowHeaders } from '../support/slow-clients.ts';
import { waitFor } from '../support/wait-for.ts';

/** So many of each kind; more of them in test/deep. */
const CROWD = 50;

const SHORT = {
  headersMs: 400,
  headersCheckMs: 50,
  bodyIdleMs: 400,
  bodyMs: 1_200,
  bodyBytesPerSecond: 2_000,
  uploadIdleMs: 400,
  stalledMs: 600,
  keepAliveMs: 500,
};

/** Nothing but what is about readers. A busy machine may take longer than 600 ms to have the first page of a download. */
const SLOW_READERS = { stalledMs: 1_500 };

const test = inletTest().extend('download', { scope: 'file' }, async ({ config }) => {
  const inlet = await TestInlet.start(config);
  const path = await largeDownload(inlet, 30).finally(() => inlet.close());
  return path;
});

/** An API with these limits for one test, and its log. */
async function start(
  config: QueueConfig,
  limits: Partial<HttpLimits>,
): Promise<{ server: TestInlet; kept: KeptLog }> {
  const kept = keptLog();
  const server = await startInlet(config, { workers: 0, apiLog: kept.log, parts: { limits } });
  return { server, kept };
}

test(`${CROWD} slow connections of each kind don't hold up normal traffic`, async ({ config, download }) => {
  await expectNobodyHeldUp(await startInlet(config), download, CROWD, 100);
});

describe('what is too slow is ended', () => {
  /** The answer of each of a crowd, when all are closed. */
  function answers(server: TestInlet, begin: (client: RawClient) => void, count = CROWD): Promise<string[]> {
    return Promise.all(crowd(server, begin, count).map((client) => client.closed()));
  }

  function expectProblem(answer: string, detail: RegExp): void {
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json/i);
    expect(answer).toMatch(/\r\nx-request-id: req_/i);
    expect(answer).toMatch(detail);
  }

  test('headers, also of those who never begin, with 408', async ({ config }) => {
    const { server } = await start(config, SHORT);
    for (const begin of [slowHeaders, () => undefined]) {
      for (const answer of await answers(server, begin)) {
        expectProblem(answer, /the request took too long to arrive/);
      }
    }
  });

  test('bodies of which nothing comes any more, with 408', async ({ config }) => {
    const { server } = await start(config, { ...SHORT, lingerIdleMs: 100 });
    for (const answer of await answers(server, slowBody)) {
      expectProblem(answer, /nothing of the body has come for 0\.4 seconds/);
    }
  });

  test.for([
    ['come slower than they must', 20, 'slower than 2000 bytes a second'],
    ['take longer than they may', 400, 'longer than 1.2 seconds'],
  ] as const)('bodies that %s, however steadily, with 408', async ([, bytes, detail], { config }) => {
    const { server } = await start(config, { ...SHORT, lingerIdleMs: 100 });
    const slow = crowd(server, slowBody, 10);
    const timer = setInterval(() => {
      for (const client of slow) if (client.text === '') client.send('x'.repeat(bytes));
    }, 100);
    const all = await Promise.all(slow.map((client) => client.closed())).finally(() => clearInterval(timer));
    for (const answer of all) expectProblem(answer, new RegExp(detail));
  });

  test('connections that nobody uses', async ({ config }) => {
    const { server } = await start(config, SHORT);
    for (const answer of await answers(server, idle)) expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('downloads that nobody reads', async ({ config, download }) => {
    const { server, kept } = await start(config, SLOW_READERS);
    const deafOnes = crowd(server, deaf(download), 8);
    const brokenOff = () =>
      kept.lines.filter(({ route, aborted }) => aborted && String(route).endsWith('/download'));
    await waitFor('all to be broken off', () => brokenOff().length === deafOnes.length);
    for (const client of deafOnes) client.socket.resume();
    for (const client of deafOnes) {
      const answer = await client.closed();
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
      // The last chunk is missing, so the client knows.
      expect(answer.endsWith('\r\n0\r\n\r\n')).toBe(false);
    }
  });

  test('but not a download that is read slowly', async ({ config, download }) => {
    const { server } = await start(config, SLOW_READERS);
    const [client] = crowd(server, deaf(download), 1) as [RawClient];
    // Each pause is shorter than the limit, and all together are longer.
    for (let i = 0; i < 3; i += 1) {
      await delay(SLOW_READERS.stalledMs / 2);
      const before = client.text.length;
      client.socket.resume();
      await waitFor('some more of it', () => client.text.length > before);
      client.socket.pause();
    }
    client.socket.resume();
    await waitFor('its end', () => client.text.endsWith('\r\n0\r\n\r\n'));
  });

  test('but not an upload that stands still because the queue is full', async ({ config }) => {
    const { server } = await start(config, SHORT);
    const queue = openProvider(server.config).openQueue();
    const { upload_url } = await newImport(server, 'still');
    const answer = uploaded(upload_url, lines(80_000));
    await waitFor('the queue to be full', async () => {
      return (await whenConnected(() => queue.importBacklog())) >= 64;
    });
    await delay(3 * SHORT.stalledMs);
    await queue.close();
    await server.addWorker();
    expect(await answer).toMatchObject({ counts: { objects: 80_000 } });
  });
});
