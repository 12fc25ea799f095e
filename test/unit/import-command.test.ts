/** `inlet import` against a server that doesn't take the file at once. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { importFile } from '../../src/commands/import.ts';
import { Screen } from '../../src/commands/terminal.ts';

let folder: string;
let file: string;
let server: Server;
/** What the server answers to the next uploads; 200 when there is none. */
let refusals: (readonly [status: number, retryAfter: string])[];
let uploads: { readonly at: number; readonly body: string }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inlet-import-'));
  file = join(folder, 'items.jsonl');
  await writeFile(file, '{"id":"a"}\n');
  refusals = [];
  uploads = [];
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const answer = (status: number, value: object, headers = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(value));
    };
    if (request.method === 'PUT') {
      uploads.push({ at: performance.now(), body });
      const [status, retryAfter] = refusals.shift() ?? [200, ''];
      answer(status, { detail: 'the queue is full' }, { 'retry-after': retryAfter });
    } else if (request.method === 'POST') {
      answer(200, { requestId: 'req_1', upload_url: `${url()}/upload` });
    } else {
      const counts = { objects: 1, stored: 1, failed: 0 };
      answer(200, { request_id: 'req_1', namespace: 'n', status: 'succeeded', counts, errors: [] });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function run(written: string[] = []): Promise<boolean> {
  const stdout = new Screen({ write: () => true });
  const stderr = new Screen({ write: (text) => written.push(text) });
  const options = { file, namespace: 'n', json: false };
  const terminal = {
    stdout,
    stderr,
    // Node.js opens it when it is looked at, and others may be reading from the same pipe.
    get stdin(): never {
      throw new Error('standard input was opened');
    },
  };
  return importFile({ url: url(), key: 'k' }, options, terminal);
}

it.each([
  ['two lines and a blank one', '{"id":"a"}\n\n{"id":"b"}\n', /^uploading .* 100% {2}3 lines {2}23 B\n$/],
  ['a last line without an end', '{"id":"a"}\n{"id":"b"}', /^uploading .* 100% {2}2 lines {2}21 B\n$/],
])('shows of %s how many lines and bytes are sent, and then objects', async (_, content, shown) => {
  await writeFile(file, content);
  const written: string[] = [];
  await run(written);
  expect(written).toEqual([
    expect.stringMatching(shown),
    expect.stringMatching(/^done .* 100% {2}1 objects/),
  ]);
});

it('shows bytes alone of a compressed file', async () => {
  file = `${file}.gz`;
  await writeFile(file, 'compressed\n');
  const written: string[] = [];
  await run(written);
  expect(written[0]).toMatch(/^uploading .* 100% {2}11 B\n$/);
});

it('waits as long as the server asks for, and sends the file again, whole', async () => {
  refusals = [[503, '1']];
  expect(await run()).toBe(true);
  expect(uploads.map(({ body }) => body)).toEqual(['{"id":"a"}\n', '{"id":"a"}\n']);
  expect((uploads[1]?.at ?? 0) - (uploads[0]?.at ?? 0)).toBeGreaterThan(990);
});

it('gives up after the third time, and says why', async () => {
  refusals = [
    [503, '0'],
    [503, '0'],
    [503, '0'],
  ];
  await expect(run()).rejects.toThrow('the server answered 503: the queue is full');
  expect(uploads).toHaveLength(3);
});

it('does not send again what will never be taken', async () => {
  refusals = [[403, '']];
  await expect(run()).rejects.toThrow('403');
  expect(uploads).toHaveLength(1);
});
