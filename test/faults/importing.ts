/** An import as a client does it: asks for a URL, sends the file, and sends it again until it is taken. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Operation, Write } from './history.ts';
import type { Called } from './http-client.ts';
import { call } from './http-client.ts';

/** Longest time that one upload may take, in milliseconds. */
const UPLOAD_TIMEOUT_MS = 40_000;

export interface ImportOptions {
  readonly client: string;
  readonly namespace: string;
  /** Where an API is reached; another one each time. */
  readonly url: () => string;
  readonly isStopped: () => boolean;
  readonly onComplaint: (complaint: string) => void;
  /** How long it is tried, in milliseconds. */
  readonly patienceMs: number;
  readonly file: string;
  readonly writes: readonly Write[];
  readonly badLines: readonly number[];
}

/** @returns what the client knows in the end; undefined where nothing was ever sent */
export async function importFile(options: ImportOptions): Promise<Operation | undefined> {
  const { client, url, onComplaint, namespace, patienceMs, isStopped, file, writes, badLines } = options;
  const path = `/v1/data/${namespace}/requests/upload-url`;
  let asked: Called;
  do {
    if (isStopped()) return undefined;
    asked = await call(url() + path, { method: 'POST' }, 200, onComplaint);
    if (asked.outcome !== 'acknowledged') await delay(300);
  } while (asked.outcome !== 'acknowledged');

  const { requestId, upload_url } = asked.body as { requestId: string; upload_url: string };
  const { pathname, search } = new URL(upload_url);
  const headers = { 'content-type': 'application/x-ndjson' };
  const begunAt = performance.now();
  for (;;) {
    const target = url() + pathname + search;
    const sent = await call(
      target,
      { method: 'PUT', headers, body: file },
      200,
      onComplaint,
      UPLOAD_TIMEOUT_MS,
    );
    // An upload before had come through, though its answer was lost: this one is told that the file is complete.
    const complete = sent.status === 409 && /complete/.test(String(sent.body['detail']));
    const isOver = performance.now() - begunAt > patienceMs;
    if (sent.outcome === 'acknowledged' || complete || isOver) {
      const outcome = sent.outcome === 'acknowledged' || complete ? 'acknowledged' : 'unknown';
      return {
        ...{ client, kind: 'import', writes, badLines, requestId },
        ...{
          begunAt,
          endedAt: performance.now(),
          outcome,
          answered: outcome === 'acknowledged',
          answer: sent.answer,
        },
      };
    }
    await delay(500);
  }
}
