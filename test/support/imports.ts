/** Imports in tests: asking for a URL, sending a file. */
import { expect } from 'vitest';
import type { TestInlet } from './inlet.ts';
import { query } from './postgres.ts';
import { waitFor } from './wait-for.ts';

export interface ImportAnswer {
  readonly requestId: string;
  readonly status: string;
  readonly objectKey: string;
  readonly upload_url: string;
  readonly expires_at: string;
}

export interface UploadAnswer {
  readonly requestId: string;
  readonly status: string;
  readonly counts: { readonly objects: number; readonly stored: number; readonly failed: number };
}

/** Asks for an upload URL; throws unless there is one. */
export async function newImport(inlet: TestInlet, namespace: string): Promise<ImportAnswer> {
  const response = await inlet.fetch(`/v1/data/${namespace}/requests/upload-url`, { method: 'POST' });
  if (response.status !== 200) throw new Error(`expected 200, got ${response.status}`);
  return (await response.json()) as ImportAnswer;
}

/** Sends a file as it is, without a key. */
export function upload(
  url: string,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
  headers: Record<string, string> = {},
): Promise<Response> {
  const stream = body instanceof ReadableStream ? { duplex: 'half' as const } : {};
  const type = typeof body === 'string' ? { 'content-type': 'application/x-ndjson' } : {};
  return fetch(url, { method: 'PUT', body, headers: { ...type, ...headers }, ...stream });
}

/** Sends a file, and throws unless it is taken. */
export async function uploaded(...sent: Parameters<typeof upload>): Promise<UploadAnswer> {
  const response = await upload(...sent);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`expected 200, got ${response.status}: ${text}`);
  return JSON.parse(text) as UploadAnswer;
}

/** Imports a file and returns its request id. */
export async function importFile(
  inlet: TestInlet,
  namespace: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers?: Record<string, string>,
): Promise<string> {
  const { requestId, upload_url } = await newImport(inlet, namespace);
  await uploaded(upload_url, body, headers);
  return requestId;
}

/** Lines with the ids `{prefix}{from}` and so on. */
export function lines(count: number, prefix = 'o', from = 0): string {
  return Array.from({ length: count }, (_, i) => `{"id":"${prefix}${from + i}","n":${from + i}}\n`).join('');
}

/** Imports a file, whose results are so many megabytes then. @returns the path of their download, with its signature */
export async function largeDownload(server: TestInlet, megabytes: number): Promise<string> {
  const schema = JSON.stringify({ schema: { v: { content_type: 'metadata' } } });
  await server.fetch('/v1/data/large/settings', { method: 'PUT', body: schema });
  const requestId = await importFile(server, 'large', lines(100 * megabytes));
  await server.done('large', requestId);
  // It isn't the way in that is to be large.
  await query(
    server.config.databaseUrl,
    `UPDATE inlet.objects SET data = data || jsonb_build_object('v', repeat('y', 10000)) WHERE namespace = 'large'`,
  );
  const response = await server.fetch(`/v1/data/large/requests/${requestId}/results/download-url`);
  const { data_url } = (await response.json()) as { data_url: string };
  return data_url.slice(server.url.length);
}

/** Imports a file of so many lines, and looks at it all the time: neither its status nor its counts ever go back. */
export async function expectStepsForward(inlet: TestInlet, count: number): Promise<void> {
  const { requestId, upload_url } = await newImport(inlet, 'steps');
  const seen: string[] = [];
  const counted: number[] = [];
  const sent = uploaded(upload_url, lines(count));
  await waitFor('the import to succeed', async () => {
    const { status, counts } = await inlet.status('steps', requestId);
    counted.push(counts.objects);
    if (seen.at(-1) !== status) seen.push(status);
    return status === 'succeeded';
  });
  await sent;
  const order = ['queued', 'uploading', 'ingesting', 'succeeded'];
  expect(seen).toEqual(order.filter((status) => seen.includes(status)));
  expect(counted).toEqual(counted.toSorted((a, b) => a - b));
  expect(counted.at(-1)).toBe(count);
}
