/** Uploads the file of an import. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { printResult, programOptions } from './program.ts';

export interface UploadOptions {
  readonly url: string;
  readonly file: string;
}

export interface UploadResult {
  /** When the upload began, in milliseconds since 1970. */
  readonly startedAt: number;
  /** Until it was answered. */
  readonly seconds: number;
  readonly status: number;
}

const { url, file } = programOptions<UploadOptions>();
const { size } = await stat(file);
const startedAt = Date.now();
const sending = request(url, {
  method: 'PUT',
  headers: { 'content-type': 'application/x-ndjson', 'content-length': size },
});
const answered = new Promise<number>((resolve, reject) => {
  sending.on('response', (response) => {
    response.resume().on('end', () => resolve(response.statusCode ?? 0));
  });
  sending.on('error', reject);
});
await pipeline(createReadStream(file, { highWaterMark: 256 * 1024 }), sending);
const status = await answered;
printResult({ startedAt, seconds: (Date.now() - startedAt) / 1_000, status } satisfies UploadResult);
