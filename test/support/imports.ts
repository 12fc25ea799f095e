/** Imports in tests: asking for a URL, sending a file. */
import type { TestInlet } from './inlet.ts';
import { eventually } from './inlet.ts';

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

/** Imports a file whose results are so many megabytes. @returns the path of their download, with its signature */
export async function largeDownload(server: TestInlet, megabytes: number): Promise<string> {
  const schema = JSON.stringify({ schema: { v: { content_type: 'metadata' } } });
  await server.fetch('/v1/data/large/settings', { method: 'PUT', body: schema });
  const { requestId, upload_url } = await newImport(server, 'large');
  const file = Array.from(
    { length: 100 * megabytes },
    (_, i) => `{"id":"o${i}","v":"${'y'.repeat(10_000)}"}\n`,
  );
  await uploaded(upload_url, file.join(''));
  await eventually(async () => {
    const response = await server.fetch(`/v1/data/large/requests/${requestId}?results=false`);
    return ((await response.json()) as { status: string }).status === 'succeeded' ? true : undefined;
  });
  const response = await server.fetch(`/v1/data/large/requests/${requestId}/results/download-url`);
  const { data_url } = (await response.json()) as { data_url: string };
  return data_url.slice(server.url.length);
}
