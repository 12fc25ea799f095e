/** The HTTP server as a function of what it needs; listening and signals are somebody else's. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { fastify } from 'fastify';
import type { ByteBudget } from '../domain/byte-budget.ts';
import { ProblemError } from '../errors.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import type { AuthDeps } from './auth.ts';
import { requireAccess } from './auth.ts';
import { acceptJson, BodyReader } from './body.ts';
import { BodyWatch } from './body-watch.ts';
import { answerHalfClosed, connectionOptions, limitConnections } from './connections.ts';
import { answerExpectations } from './expectations.ts';
import type { HttpLimits } from './limits.ts';
import { HTTP_LIMITS } from './limits.ts';
import { lingerAfterAnswer } from './linger.ts';
import { methodNotAllowed } from './method-not-allowed.ts';
import { problemFrom, sendProblem } from './problem.ts';
import { clientErrorHandler, sendOnSocket } from './refuse.ts';
import type { OnAnswered } from './request-log.ts';
import { RequestLog } from './request-log.ts';
import type { DataRouteDeps } from './routes/data.ts';
import { dataRoutes } from './routes/data.ts';
import { docsRoutes } from './routes/docs.ts';
import type { DocumentRouteDeps } from './routes/document.ts';
import { documentRoute } from './routes/document.ts';
import type { FailedRouteDeps } from './routes/failed.ts';
import { failedRoutes } from './routes/failed.ts';
import type { FailedActionDeps } from './routes/failed-actions.ts';
import { failedActionRoutes } from './routes/failed-actions.ts';
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
import { webhookDeliveryRoute } from './routes/webhook-deliveries.ts';
import type { WebhookRouteDeps } from './routes/webhook-endpoints.ts';
import { webhookEndpointRoutes } from './routes/webhook-endpoints.ts';
import { securityHeaders } from './security-headers.ts';

/** What every server needs. */
export interface BaseDeps {
  readonly newRequestId: () => string;
  readonly log: Log;
  /** Told of each request when it is over. */
  readonly onAnswered?: OnAnswered;
  /** Where they are to be others than {@link HTTP_LIMITS}. */
  readonly limits?: Partial<HttpLimits> | undefined;
}

type RouteDeps = DataRouteDeps &
  ResultRouteDeps &
  ObjectRouteDeps &
  SettingsRouteDeps &
  FailedRouteDeps &
  FailedActionDeps &
  ImportRouteDeps &
  UploadRouteDeps &
  WebhookRouteDeps &
  HealthRouteDeps &
  AuthDeps &
  DocumentRouteDeps &
  MetricsRouteDeps;

export interface ServerDeps extends BaseDeps, Omit<RouteDeps, 'bodies'> {
  /** Most bytes of a body, after decompression. */
  readonly bodyLimit: number;
  /** The memory for bodies. */
  readonly bodyBudget: ByteBudget;
  /** Proxies whose `X-Forwarded-For` is believed: addresses, CIDR ranges or names of ranges; undefined for none. */
  readonly trustProxy?: readonly string[] | undefined;
  /** Who may read the metrics. */
  readonly metricsAccess: 'open' | 'admin';
}

/** An id of 512 characters takes up to 6,144 when each of its four bytes is percent-encoded. */
const MAX_PARAM_LENGTH = 8_192;

/** The API. */
export function buildServer(given: ServerDeps): FastifyInstance {
  const limits = { ...HTTP_LIMITS, ...given.limits };
  const watch = new BodyWatch(limits);
  const deps = { ...given, bodies: new BodyReader(given.bodyBudget, watch, given.bodyLimit) };
  const app = baseServer({ ...deps, limits, overTls: deps.publicUrl().startsWith('https:') });
  app.addHook('onClose', async () => watch.close());
  const answerOtherMethods = methodNotAllowed(app);
  healthRoutes(app, deps);
  documentRoute(app, deps);
  docsRoutes(app, deps);
  if (deps.metricsAccess === 'open') metricsRoute(app, deps);
  downloadRoute(app, deps);
  app.register(async (api) => {
    requireAccess(api, deps);
    acceptJson(api);
    dataRoutes(api, deps);
    requestRoutes(api, deps);
    downloadUrlRoute(api, deps);
    settingsRoutes(api, deps);
    objectRoutes(api, deps);
    failedRoutes(api, deps);
    failedActionRoutes(api, deps);
    importRoutes(api, deps);
    webhookEndpointRoutes(api, deps);
    webhookDeliveryRoute(api, deps);
    if (deps.metricsAccess === 'admin') metricsRoute(api, deps, 'admin');
  });
  app.register(async (signed) => uploadRoutes(signed, deps, limits));
  app.after(answerOtherMethods);
  return app;
}

/** The server of a worker, which tells how it is and nothing else. */
export function buildHealthServer(deps: BaseDeps & HealthRouteDeps & MetricsRouteDeps): FastifyInstance {
  const app = baseServer({ ...deps, limits: { ...HTTP_LIMITS, ...deps.limits } });
  const answerOtherMethods = methodNotAllowed(app);
  healthRoutes(app, deps);
  metricsRoute(app, deps);
  app.after(answerOtherMethods);
  return app;
}

interface BaseOptions extends BaseDeps {
  readonly limits: HttpLimits;
  readonly trustProxy?: ServerDeps['trustProxy'];
  /** Whether clients reach the server by https. */
  readonly overTls?: boolean;
}

/** Errors, ids, headers and limits, which are the same for every route. */
function baseServer(options: BaseOptions): FastifyInstance {
  const { newRequestId, log, onAnswered, limits, trustProxy, overTls = false } = options;
  const security = securityHeaders(overTls);
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
    ...connectionOptions(limits),
    trustProxy: trustProxy ? [...trustProxy] : false,
    // While the server closes, what still comes in over open connections is answered like anything else.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      // No hook has run for these.
      requests.watch(request, reply);
      sendProblem(reply.headers(security), request, fail(error, request));
    },
    clientErrorHandler: clientErrorHandler({ newRequestId, requests, headers: security }),
  });
  limitConnections(app, limits, log, (socket, problem) =>
    sendOnSocket(socket, problem, newRequestId(), security),
  );
  answerHalfClosed(app);
  answerExpectations(app);
  requests.attach(app);
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(security).header('x-request-id', request.id);
    lingerAfterAnswer(request.raw, reply.raw, limits);
    if (request.headers.host !== undefined || request.raw.httpVersion === '1.0') done();
    else done(new ProblemError('invalid_request', 'the Host header is missing'));
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
