/**
 * What to do where an answer goes out before all of the body was read. A connection that is closed with unread bytes
 * is reset, and the client loses the answer. So what still comes is read and dropped for a moment; whoever is not
 * done then is disconnected.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpLimits } from './limits.ts';

type Limits = Pick<HttpLimits, 'lingerMs' | 'lingerIdleMs'>;

/** Sees to it that the client gets to see its answer, and goes then. To be called for every request. */
export function lingerAfterAnswer(body: IncomingMessage, answer: ServerResponse, limits: Limits): void {
  const { 'content-length': length = '0', 'transfer-encoding': coding } = body.headers;
  if (length === '0' && coding === undefined) return;
  // Before Node's own listener, which closes the connection after its last answer.
  answer.prependOnceListener('finish', () => {
    if (!body.complete && !body.destroyed) linger(body, limits);
  });
}

function linger(body: IncomingMessage, { lingerMs, lingerIdleMs }: Limits): void {
  const { socket } = body;
  const { destroySoon } = socket;
  const disconnect = (): unknown => socket.destroy();
  const last = setTimeout(disconnect, lingerMs);
  // Node tells of no data of a body that nobody has begun to read.
  let seen = socket.bytesRead;
  const idle = setInterval(() => {
    if (socket.bytesRead === seen) disconnect();
    seen = socket.bytesRead;
  }, lingerIdleMs);
  // Where it is the last answer the client is told that it has all of it, and may go on sending.
  socket.destroySoon = () => {
    body.once('end', disconnect);
    socket.end();
  };
  body.once('close', () => {
    clearTimeout(last);
    clearInterval(idle);
    socket.destroySoon = destroySoon;
  });
  body.resume();
}
