/** The HTTP server as a function of what it needs; listening and signals are somebody else's. */
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { fastify } from 'fastify';
import { PROBLEMS, ProblemError } from '../errors.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import type { AuthDeps } from './auth.ts';
import { requireAccess } from './auth.ts';
import { acceptJsonBytes } from './body.ts';
import { limitBodyTime } from './body-time.ts';
import { methodNotAllowed } from './method-not-allowed.ts';
import { problemBody, problemFrom, sendProblem } from './problem.ts';
import type { OnAnswered } from './request-log.ts';
import { RequestLog } from './request-log.ts';
import type { DataRouteDeps } from './routes/data.ts';
import { dataRoutes } from './routes/data.ts';
import { docsRoutes } from './routes/docs.ts';
import type { DocumentRouteDeps } from './routes/document.ts';
import { documentRoute } from './routes/document.ts';
import type { HealthRouteDeps } from './routes/health.ts';
import { healthRoutes } from './routes/health.ts';
import type { ImportRouteDeps } from './routes/imports.ts';
import { importRoutes } from './routes/imports.ts';
import type { MetricsRouteDeps } from './routes/metrics.ts';
import { metricsRoute } from './routes/metrics.ts';
import type { ObjectRouteDeps } from './routes/objects.ts';
import { objectRoutes } from './routes/objects.ts';
import { requestRoutes } from './routes/requests.ts';
import type { ResultRouteDeps } from './routes/results.ts';
import { downloadRoute, downloadUrlRoute } from './routes/results.ts';
import type { SettingsRouteDeps } from './routes/settings.ts';
import { settingsRoutes } from './routes/settings.ts';
import type { UploadRouteDeps } from './routes/uploads.ts';
import { uploadRoutes } from './routes/uploads.ts';

/** What every server needs. */
export interface BaseDeps {
  readonly newRequestId: () => string;
  readonly log: Log;
  /** Told of each request when it is over. */
  readonly onAnswered?: OnAnswered;
}

export interface ServerDeps
  extends BaseDeps,
    DataRouteDeps,
    ResultRouteDeps,
    ObjectRouteDeps,
    SettingsRouteDeps,
    ImportRouteDeps,
    UploadRouteDeps,
    HealthRouteDeps,
    AuthDeps,
    DocumentRouteDeps,
    MetricsRouteDeps {
  /** Who may read the metrics. */
  readonly metricsAccess: 'open' | 'admin';
}

/** An id of 512 characters takes up to 6,144 when each of its four bytes is percent-encoded. */
const MAX_PARAM_LENGTH = 8_192;

/** Longest time for a body to arrive, in milliseconds: 10 MB over a slow line, but not for ever. */
const BODY_TIMEOUT_MS = 120_000;

/** The API. */
export function buildServer(deps: ServerDeps): FastifyInstance {
  const app = baseServer(deps);
  const answerOtherMethods = methodNotAllowed(app);
  healthRoutes(app, deps);
  documentRoute(app, deps);
  docsRoutes(app, deps);
  if (deps.metricsAccess === 'open') metricsRoute(app, deps);
  downloadRoute(app, deps);
  app.register(async (api) => {
    requireAccess(api, deps);
    acceptJsonBytes(api);
    dataRoutes(api, deps);
    requestRoutes(api, deps);
    downloadUrlRoute(api, deps);
    settingsRoutes(api, deps);
    objectRoutes(api, deps);
    importRoutes(api, deps);
    if (deps.metricsAccess === 'admin') metricsRoute(api, deps, 'admin');
  });
  app.register(async (signed) => uploadRoutes(signed, deps));
  app.after(answerOtherMethods);
  return app;
}

/** The server of a worker, which tells how it is and nothing else. */
export function buildHealthServer(deps: BaseDeps & HealthRouteDeps & MetricsRouteDeps): FastifyInstance {
  const app = baseServer(deps);
  const answerOtherMethods = methodNotAllowed(app);
  healthRoutes(app, deps);
  metricsRoute(app, deps);
  app.after(answerOtherMethods);
  return app;
}

/** Errors, ids and limits, which are the same for every route. */
function baseServer({ newRequestId, log, onAnswered }: BaseDeps): FastifyInstance {
  const requests = new RequestLog(log, onAnswered);
  const reportUnavailable = errorReporter(log, 'requests are refused with 503');
  const fail = (error: unknown, request: FastifyRequest): ProblemError => {
    const problem = problemFrom(error);
    const line = { requestId: request.id, method: request.method, route: request.routeOptions.url };
    if (problem.code === 'internal_error')
      log.error({ ...line, err: error }, 'a request failed: this is a bug');
    else if (problem.code === 'unavailable') reportUnavailable(error as Error);
    return problem;
  };
  const app = fastify({
    genReqId: newRequestId,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // Of the whole request: uploads take as long as they take. Bodies have a limit of their own, below.
    requestTimeout: 0,
    // Node would answer with an empty 400; below it gets the same as any other mistake.
    http: { requireHostHeader: false },
    // While the server closes, what still comes in over open connections is answered like anything else.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      requests.watch(request, reply);
      sendProblem(reply, request, fail(error, request));
    },
    clientErrorHandler: (error, socket) => {
      const requestId = newRequestId();
      const client = socket.remoteAddress;
      const problem = refuse(error, socket, requestId);
      if (problem) requests.refused(requestId, problem, client);
    },
  });
  // Node would answer an Expect header that it doesn't know with an empty 417; a server may pass over it (RFC 9110, 10.1.1).
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  requests.attach(app);
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (request.headers.host !== undefined || request.raw.httpVersion === '1.0') done();
    else done(new ProblemError('invalid_request', 'the Host header is missing'));
  });
  limitBodyTime(app, BODY_TIMEOUT_MS, (request) => {
    const timeout = { name: '', message: '', code: 'ERR_HTTP_REQUEST_TIMEOUT' };
    request.problem = refuse(timeout, request.raw.socket, request.id);
  });
  // Bodies are for the routes that want them: Fastify's own parsers would judge what nobody reads.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume();
    done(null);
  });
  app.setErrorHandler((error, request, reply) => sendProblem(reply, request, fail(error, request)));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, request, new ProblemError('not_found', `there is nothing at ${pathOf(request)}`)),
  );
  return app;
}

function pathOf({ url }: FastifyRequest): string {
  return (url.split('?')[0] ?? '').slice(0, 200);
}

/**
 * Answers what is not even HTTP, or took too long, on the bare socket.
 * @returns what was answered; undefined where nobody was left to be told
 */
function refuse(
  { code }: NodeJS.ErrnoException,
  socket: Socket,
  requestId: string,
): ProblemError | undefined {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const problem =
    code === 'HPE_HEADER_OVERFLOW'
      ? new ProblemError('headers_too_large', 'the headers are larger than 16 KiB')
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new ProblemError('request_timeout', 'the request took too long to arrive')
        : new ProblemError('invalid_request', 'this is not a valid HTTP request');
  const { status, title } = PROBLEMS[problem.code];
  const body = problemBody(problem, requestId);
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Request-Id: ${requestId}\r\nConnection: close\r\n\r\n${body}`,
  );
  return problem;
}
