/** Answers on the bare socket: to what is not even HTTP, or took too long to become a request. */
import type { OutgoingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { PROBLEMS, ProblemError } from '../errors.ts';
import { PROBLEM_TYPE, problemBody } from './problem.ts';

/**
 * Answers and closes.
 * @param error as the server's `clientError` event has it
 * @param headers further headers of the answer
 * @returns what was answered; undefined where nobody was left to be told
 */
export function refuse(
  error: NodeJS.ErrnoException,
  socket: Socket,
  requestId: string,
  headers: Readonly<Record<string, string>>,
): ProblemError | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy();
    return undefined;
  }
  const problem = problemOf(error);
  const { status, title } = PROBLEMS[problem.code];
  const body = problemBody(problem, requestId);
  const lines = Object.entries({
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    ...headers,
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${body}`);
  return problem;
}

function problemOf({ code }: NodeJS.ErrnoException): ProblemError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ProblemError('headers_too_large', 'the headers are larger than 16 KiB');
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new ProblemError('request_timeout', 'the request took too long to arrive');
  }
  return new ProblemError('invalid_request', 'this is not a valid HTTP request');
}

/** Whether a part of an answer has gone out already, which a second one would end up in. Node asks the same. */
function isAnswering(socket: Socket & { _httpMessage?: OutgoingMessage | null }): boolean {
  return socket._httpMessage?.headersSent === true;
}
