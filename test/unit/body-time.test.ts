import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { fastify } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { limitBodyTime } from '../../src/http/body-time.ts';

const LIMIT_MS = 150;

let app: FastifyInstance;
let port: number;

beforeEach(async () => {
  app = fastify();
  limitBodyTime(app, LIMIT_MS, ({ raw }) => raw.socket.end('HTTP/1.1 408 Request Timeout\r\n\r\n'));
  app.post('/limited', ({ body }: FastifyRequest) => body);
  app.post('/any', { config: { takesAnyTime: true } }, ({ body }: FastifyRequest) => body);
  await app.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = app.server.address() as AddressInfo);
});

afterEach(() => app.close());

/** Sends the parts of a body with a pause before each, and returns the answer's first line. */
function send(path: string, parts: readonly string[], pauseMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${parts.join('').length}\r\n\r\n`,
    );
    parts.forEach((part, i) => {
      setTimeout(() => socket.writable && socket.write(part), (i + 1) * pauseMs);
    });
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer.split('\r\n')[0] ?? ''));
  });
}

it('lets a body arrive in time', async () => {
  expect(await send('/limited', ['{"a":', '1}'], 10)).toBe('HTTP/1.1 200 OK');
});

it('ends the connection of a body that takes longer, however steadily it comes', async () => {
  expect(await send('/limited', ['{', '"', 'a', '"', ':', '1', '}'], 50)).toBe(
    'HTTP/1.1 408 Request Timeout',
  );
});

it('leaves routes alone that take any time', async () => {
  expect(await send('/any', ['{"a":', '1}'], 200)).toBe('HTTP/1.1 200 OK');
});
