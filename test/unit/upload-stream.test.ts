import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/errors.ts';
import { BodyBrokenError } from '../../src/http/incoming-body.ts';
import { uploadStream } from '../../src/http/upload-stream.ts';

const IDLE_MS = 200;

function openBody(encoding?: string) {
  const body = new PassThrough();
  const stop = new AbortController();
  const file = uploadStream(body as unknown as IncomingMessage, encoding, IDLE_MS)(stop.signal);
  return { body, stop, file };
}

async function textOf(file: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of file) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('the body of an upload', () => {
  it('is read to its end', async () => {
    const { body, file } = openBody();
    body.write('a\n');
    body.end('b\n');
    expect(await textOf(file)).toBe('a\nb\n');
  });

  it.each([undefined, 'gzip', 'deflate', 'br'])('is given up where nothing comes (%s)', async (encoding) => {
    const { body, file } = openBody(encoding);
    body.write(encoding === 'gzip' ? gzipSync('abc').subarray(0, 12) : 'x');
    const error = await textOf(file).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({ code: 'request_timeout' });
    expect(body.destroyed).toBe(false);
  });

  it('may be slow, as long as something comes', async () => {
    const { body, file } = openBody();
    const read = textOf(file);
    for (let i = 0; i < 6; i += 1) {
      body.write('x');
      await delay(IDLE_MS / 2);
    }
    body.end();
    expect(await read).toBe('xxxxxx');
  });

  it('is not given up while it is the reader who takes its time', async () => {
    const { body, file } = openBody();
    const sent = 'x'.repeat(1_000_000);
    body.end(sent);
    let length = 0;
    for await (const piece of file) {
      if (length === 0) await delay(3 * IDLE_MS);
      length += piece.length;
    }
    expect(length).toBe(sent.length);
  });

  it.each([undefined, 'gzip', 'deflate'])(
    'ends with the reason when it is to stop (%s)',
    async (encoding) => {
      const { body, file, stop } = openBody(encoding);
      const reason = new BodyBrokenError('gone');
      setTimeout(() => stop.abort(reason), 20);
      await expect(textOf(file)).rejects.toBe(reason);
      expect(body.destroyed).toBe(false);
    },
  );

  it('refuses an encoding that is not served before anything is read', () => {
    expect(() => openBody('compress')).toThrow(/not served: send one of gzip, deflate, br/);
  });
});
