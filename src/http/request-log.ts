/** One wide line of the log for each request, and one call for whoever counts them. */
import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isNamespace } from '../domain/objects.ts';
import type { ProblemError } from '../errors.ts';
import { PROBLEMS } from '../errors.ts';
import type { Log } from '../telemetry.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Machines ask again and again: such requests are logged at `debug`. */
    readonly quiet?: true;
  }
  interface FastifyRequest {
    /** Bytes of the body as it came, before decompression; undefined where it isn't known. */
    bodyBytes: number | undefined;
    /** How many objects came, or were to be deleted, with the request. */
    objectCount: number | undefined;
    /** What the request was refused with. */
    problem: ProblemError | undefined;
  }
}

/** A request that has got its answer, or whose client has gone. */
export interface AnsweredRequest {
  readonly method: string;
  /** The pattern of its path; undefined where there is nothing at that path. */
  readonly route: string | undefined;
  readonly status: number;
  /** From its headers to the end of its answer, in milliseconds. */
  readonly ms: number;
  readonly problem: ProblemError | undefined;
}

/** What a client was told on the bare socket. */
interface Refused {
  readonly requestId: string;
  readonly problem: ProblemError;
}

export type OnAnswered = (request: AnsweredRequest) => void;

/** The status, first used by nginx, of requests whose client has gone before the answer. Nobody is sent it. */
const CLIENT_GONE = 499;

const MESSAGE = 'request';

export class RequestLog {
  readonly #log: Log;
  readonly #onAnswered: OnAnswered | undefined;
  readonly #refused = new WeakMap<ServerResponse, Refused>();

  constructor(log: Log, onAnswered: OnAnswered | undefined) {
    this.#log = log;
    this.#onAnswered = onAnswered;
  }

  /** Logs the requests of all routes. Comes before all other hooks, whose time counts as well. */
  attach(app: FastifyInstance): void {
    app.decorateRequest('bodyBytes', undefined);
    app.decorateRequest('objectCount', undefined);
    app.decorateRequest('problem', undefined);
    app.addHook('onRequest', (request, reply, done) => {
      this.watch(request, reply);
      done();
    });
  }

  /** Logs a request when it is over; for those that no hook gets to see. */
  watch(request: FastifyRequest, reply: FastifyReply): void {
    const started = performance.now();
    // Unlike Fastify's onResponse it comes too where the client goes away.
    reply.raw.on('close', () => this.#answered(request, reply, performance.now() - started));
  }

  /**
   * Logs what was refused on the bare socket.
   * @param answer of the request that was in hand, which has its own line; undefined where it was none yet
   */
  refused(
    requestId: string,
    problem: ProblemError,
    client: string | undefined,
    answer: ServerResponse | undefined,
  ): void {
    if (answer) {
      this.#refused.set(answer, { requestId, problem });
      return;
    }
    const { status } = PROBLEMS[problem.code];
    this.#onAnswered?.({ method: 'unknown', route: undefined, status, ms: 0, problem });
    this.#log.info({ requestId, method: null, route: null, status, client, error: problem.code }, MESSAGE);
  }

  #answered(request: FastifyRequest, reply: FastifyReply, ms: number): void {
    const refused = this.#refused.get(reply.raw);
    request.problem ??= refused?.problem;
    const { url: route, config } = request.routeOptions;
    const { method, problem } = request;
    const status = statusOf(reply, problem);
    this.#onAnswered?.({ method, route, status, ms, problem });
    const level = config?.quiet ? 'debug' : 'info';
    if (this.#log.isLevelEnabled(level)) {
      this.#log[level](line(request, reply, route, status, ms, refused?.requestId), MESSAGE);
    }
  }
}

function statusOf({ raw }: FastifyReply, problem: ProblemError | undefined): number {
  if (raw.headersSent) return raw.statusCode;
  return problem ? PROBLEMS[problem.code].status : CLIENT_GONE;
}

/** Nothing but what is named here: the URL has ids of objects and signatures in it, headers have keys. */
function line(
  request: FastifyRequest,
  reply: FastifyReply,
  route: string | undefined,
  status: number,
  ms: number,
  // That of an accepted write is given by its batch.
  requestId: unknown = reply.getHeader('x-request-id') ?? request.id,
) {
  const { method, problem, ip, bodyBytes, objectCount, headers, caller } = request;
  return {
    requestId,
    method,
    route: route ?? null,
    status,
    ms: Math.round(ms * 100) / 100,
    bytes: bodyBytes ?? Number(headers['content-length'] ?? 0),
    objects: objectCount,
    namespace: namespaceOf(request.params),
    key: caller?.id,
    keyName: caller?.name,
    client: ip,
    error: problem?.code,
    reason: problem?.reason,
    aborted: reply.raw.writableFinished ? undefined : true,
  };
}

function namespaceOf(params: unknown): string | undefined {
  // Of a path that can't be read there are no parameters at all.
  const { namespace } = (params ?? {}) as { namespace?: string };
  return namespace !== undefined && isNamespace(namespace) ? namespace : undefined;
}
