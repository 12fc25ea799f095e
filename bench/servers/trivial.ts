/**
 * A server that does nothing but answer, for showing how many requests the load generator could send. It knows a
 * request's end by its length, which is the same for all of them.
 */
import { createServer } from 'node:net';
import { onTerminate, readSettings } from './settings.ts';

const ANSWER = Buffer.from(
  'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
);

const HEAD_END = '\r\n\r\n';

const server = createServer({ noDelay: true }, (socket) => {
  let length = 0;
  let come = 0;
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    if (length === 0) length = lengthOf(bytes);
    come += bytes.length;
    for (; come >= length; come -= length) socket.write(ANSWER);
  });
});
onTerminate(async () => server.close());
server.listen(readSettings().port, '127.0.0.1');

/** The bytes of the request that begins here. */
function lengthOf(bytes: Buffer): number {
  const text = bytes.toString('latin1');
  const body = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? 0);
  return text.indexOf(HEAD_END) + HEAD_END.length + body;
}
