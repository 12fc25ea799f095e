/** Answers on the bare socket: to what is not even HTTP, breaks off, or took too long to become a request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { PROBLEMS, ProblemError } from '../errors.ts';
import { PROBLEM_TYPE, problemBody } from './problem.ts';
import type { RequestLog } from './request-log.ts';

/** What Node keeps with a connection, and its types leave out. */
interface HttpSocket extends Socket {
  /** The answer whose turn it is. */
  readonly _httpMessage?: ServerResponse | null;
  readonly parser?: { readonly incoming?: IncomingMessage | null } | null;
}

interface RefuseDeps {
  readonly newRequestId: () => string;
  readonly requests: RequestLog;
  /** Of each answer. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Makes what a server does with the mistakes that its `clientError` event tells of: they are answered, in their turn. */
export function clientErrorHandler({ newRequestId, requests, headers }: RefuseDeps) {
  const refused = new WeakSet<Socket>();
  return (error: NodeJS.ErrnoException, socket: HttpSocket): void => {
    const problem = problemOf(error);
    const refuse = (inHand?: ServerResponse): void => {
      if (!socket.writable) {
        socket.destroy();
        return;
      }
      const requestId = newRequestId();
      requests.refused(requestId, problem, socket.remoteAddress, inHand);
      sendOnSocket(socket, problem, requestId, headers);
    };
    if (error.code === 'ECONNRESET') socket.destroy();
    // What comes after a mistake is one as well, however it is cut.
    else if (!refused.has(socket)) afterAnswers(socket, refuse);
    refused.add(socket);
  };
}

/**
 * Calls `refuse` when the requests that had come whole before the mistake have their answers: clients count answers to know
 * which request each belongs to.
 * @param refuse gets the answer of the request whose body the mistake is in; undefined where it is in no body
 */
function afterAnswers(socket: HttpSocket, refuse: (inHand?: ServerResponse) => void): void {
  const { _httpMessage: answer, parser } = socket;
  if (answer?.headersSent && !answer.writableEnded) {
    // A second answer would end up in it.
    socket.destroy();
  } else if (answer?.req.complete) {
    answer.once('close', () => afterAnswers(socket, refuse));
  } else if (!answer && parser?.incoming?.complete === false) {
    // Its request has been answered, and nobody reads the rest of it.
    socket.destroy();
  } else {
    refuse(answer ?? undefined);
  }
}

/** Answers and closes. @param headers of the answer, beside those that it has anyway */
export function sendOnSocket(
  socket: Socket,
  problem: ProblemError,
  requestId: string,
  headers: Readonly<Record<string, string>>,
): void {
  const { status, title } = PROBLEMS[problem.code];
  const body = problemBody(problem, requestId);
  const lines = Object.entries({
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    ...headers,
    ...problem.headers,
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${body}`);
}

function problemOf({ code }: NodeJS.ErrnoException): ProblemError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ProblemError('headers_too_large', 'the headers are larger than 16 KiB');
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new ProblemError('request_timeout', 'the request took too long to arrive');
  }
  if (code === 'HPE_INVALID_EOF_STATE') {
    return new ProblemError('invalid_request', 'the connection ended in the middle of the request');
  }
  return new ProblemError('invalid_request', 'this is not a valid HTTP request');
}
