/** `inlet import`: uploads a file of objects, follows it to the end, and says what became of it. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import { oneLine } from '../domain/printable.ts';
import { OperatorError } from '../errors.ts';
import type { ClientOptions } from './client.ts';
import { ApiError, call, pauseBefore, upload } from './client.ts';
import { count, ProgressReport } from './progress.ts';
import type { RequestAnswer } from './requests.ts';
import { isDone, requestPath } from './requests.ts';
import type { Screen } from './terminal.ts';

/** How often the server is asked how far it is, in milliseconds. */
const POLL_MS = 500;

/** How often a file is sent where the connection breaks, or the server asks to come back later. */
const UPLOAD_TRIES = 3;

/** How many failed objects are shown. */
const SHOWN_ERRORS = 10;

const LINE_END = 0x0a;

const ENCODINGS: readonly (readonly [suffix: string, encoding: string])[] = [
  ['.gz', 'gzip'],
  ['.br', 'br'],
  ['.zst', 'zstd'],
];

export interface ImportOptions {
  /** A path, or `-` for standard input. */
  readonly file: string;
  readonly namespace: string;
  /** Print the request's answer as JSON instead of words. */
  readonly json: boolean;
}

interface UploadUrl {
  readonly requestId: string;
  readonly upload_url: string;
}

/**
 * Imports a file of one JSON object a line.
 * @returns whether every object was stored
 * @throws OperatorError where the file can't be read, or the server doesn't take it
 */
export async function importFile(
  client: ClientOptions,
  { file, namespace, json }: ImportOptions,
  terminal: { readonly stdin: Readable; readonly stdout: Screen; readonly stderr: Screen },
): Promise<boolean> {
  const totalBytes = file === '-' ? undefined : await fileSize(file);
  const base = `/v1/data/${encodeURIComponent(namespace)}`;
  const { requestId, upload_url: url } = await call<UploadUrl>(client, 'POST', `${base}/requests/upload-url`);
  const { stdout, stderr } = terminal;
  const report = new ProgressReport(stderr);
  const path = requestPath(namespace, requestId);
  try {
    // Being looked at is enough for standard input to be opened, which others may be reading.
    const open = (): Readable => (file === '-' ? terminal.stdin : createReadStream(file));
    await send({ file, open }, url, totalBytes, report);
    const answer = await follow(client, path, report);
    report.end();
    if (json) stdout.write(`${JSON.stringify(answer)}\n`);
    else stdout.write(summary(answer));
    return answer.status === 'succeeded';
  } catch (error) {
    report.end();
    stderr.write(`The import is request ${requestId} of namespace ${namespace}.\n`);
    throw error;
  }
}

/** Uploads the file, anew where that may help and it can be read once more. */
async function send(
  { file, open }: { readonly file: string; readonly open: () => Readable },
  url: string,
  totalBytes: number | undefined,
  report: ProgressReport,
): Promise<void> {
  const encoding = ENCODINGS.find(([suffix]) => file.endsWith(suffix))?.[1];
  const headers = {
    'content-type': 'application/x-ndjson',
    ...(encoding ? { 'content-encoding': encoding } : {}),
    ...(totalBytes === undefined ? {} : { 'content-length': String(totalBytes) }),
  };
  for (let attempt = 1; ; attempt += 1) {
    const phase = attempt === 1 ? 'uploading' : 'uploading again';
    let bytes = 0;
    let ends = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        ends += lineEnds(chunk);
        // The last line may have no end. (Of what is compressed nothing is known but its size.)
        const lines = encoding ? {} : { lines: chunk.at(-1) === LINE_END ? ends : ends + 1 };
        report.update({ phase, unit: 'bytes', done: bytes, total: totalBytes, ...lines });
        done(null, chunk);
      },
    });
    const source = open();
    source.on('error', (error) => meter.destroy(error));
    try {
      return await upload(url, headers, source.pipe(meter));
    } catch (error) {
      const mayRetry = file !== '-' && (!(error instanceof ApiError) || error.retryable);
      if (!mayRetry || attempt === UPLOAD_TRIES) throw error;
      await pauseBefore(attempt, error);
    } finally {
      source.destroy();
    }
  }
}

async function follow(client: ClientOptions, path: string, report: ProgressReport): Promise<RequestAnswer> {
  for (;;) {
    const answer = await call<RequestAnswer>(client, 'GET', `${path}?results=false`);
    const { objects, stored, failed } = answer.counts;
    const progress = { unit: 'objects', done: stored + failed, total: objects } as const;
    if (isDone(answer)) {
      report.done({ phase: 'done', ...progress });
      return answer;
    }
    report.update({ phase: 'storing', ...progress });
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

function summary({ request_id, namespace, status, counts, errors }: RequestAnswer): string {
  const lines = [
    `${request_id} ${status}: ${count(counts.stored)} of ${count(counts.objects)} objects stored in ${namespace}, ${count(counts.failed)} failed`,
    ...errors
      .slice(0, SHOWN_ERRORS)
      .map(({ index, id, message }) => `  ${oneLine(`line ${index}${id ? ` (${id})` : ''}: ${message}`)}`),
  ];
  if (counts.failed > SHOWN_ERRORS) lines.push(`  and ${count(counts.failed - SHOWN_ERRORS)} more`);
  return `${lines.join('\n')}\n`;
}

async function fileSize(file: string): Promise<number> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new OperatorError(
      `Cannot read ${file}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    );
  });
  if (!found.isFile()) throw new OperatorError(`${file} is not a file.`);
  return found.size;
}

function lineEnds(chunk: Buffer): number {
  let ends = 0;
  for (let at = chunk.indexOf(LINE_END); at !== -1; at = chunk.indexOf(LINE_END, at + 1)) ends += 1;
  return ends;
}
