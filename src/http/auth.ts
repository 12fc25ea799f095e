/** Who may call what: API keys as bearer tokens, with scopes, namespaces and rates. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../access/caller.ts';
import { canSee } from '../access/caller.ts';
import { FailureThrottle } from '../access/failure-throttle.ts';
import type { KeyRefusal } from '../access/key-ring.ts';
import type { RateState } from '../access/rate-limits.ts';
import type { Scope } from '../domain/api-key.ts';
import { ProblemError } from '../errors.ts';
import { applyRate } from './rate-limit.ts';

/** What a route asks of its caller. */
interface Access {
  readonly scope: Scope;
  /**
   * What a caller is told that may not see the namespace of the path, where even what is in it is nobody else's
   * business; otherwise it is told that it may not.
   */
  readonly unseen?: () => ProblemError;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly access?: Access;
  }
  interface FastifyRequest {
    /** Whose key came along; undefined on routes without one, and before it was looked at. */
    caller: Caller | undefined;
  }
}

export interface AuthDeps {
  /** Tells whose key this is, or why it is not let in. */
  readonly identify: (key: string) => Caller | KeyRefusal;
  /** Counts a request against the caller's rate; undefined where it has none. */
  readonly takeRequest: (caller: Caller) => Promise<RateState> | undefined;
}

const BEARER = /^Bearer +(\S+) *$/i;

/**
 * A key of this length isn't guessed: it is looked up whatever failed before. So an address that many share (a
 * proxy's, an office's) isn't locked out by one of them that goes on with a revoked key.
 */
const UNGUESSABLE_LENGTH = 32;

/**
 * Lets in whoever has the right to a route, before anything of the body is read. Every route that is registered
 * after this must say what it asks for.
 */
export function requireAccess(app: FastifyInstance, { identify, takeRequest }: AuthDeps): void {
  const throttle = new FailureThrottle();
  app.addHook('onRoute', ({ url, method, config }) => {
    if (!config?.access) throw new Error(`${String(method)} ${url} does not say who may call it`);
  });
  app.addHook('onRequest', (request, reply, done) => {
    const caller = authenticate(request, identify, throttle);
    request.caller = caller;
    authorize(request, caller);
    const counted = takeRequest(caller);
    if (!counted) return done();
    counted.then((state) => applyRate(reply, state)).then(() => done(), done);
  });
}

/** The caller of a request behind {@link requireAccess}. */
export function callerOf({ caller }: FastifyRequest): Caller {
  if (!caller) throw new Error('this route is not behind requireAccess');
  return caller;
}

function authenticate(
  { headers: { authorization }, ip }: FastifyRequest,
  identify: AuthDeps['identify'],
  throttle: FailureThrottle,
): Caller {
  const key = BEARER.exec(authorization ?? '')?.[1];
  const waitSeconds = throttle.waitSeconds(ip);
  if (key !== undefined && (waitSeconds === 0 || key.length >= UNGUESSABLE_LENGTH)) {
    const found = identify(key);
    if (typeof found === 'object') return found;
    if (found === 'unavailable') throw keysUnknown();
    throttle.failed(ip);
    throw waitSeconds > 0 ? tooManyFailures(waitSeconds) : refused(found);
  }
  if (waitSeconds > 0) throw tooManyFailures(waitSeconds);
  throttle.failed(ip);
  throw unauthorized(
    authorization === undefined
      ? 'send an API key: Authorization: Bearer YOUR_KEY'
      : 'the Authorization header must be: Bearer YOUR_KEY',
  );
}

function authorize({ routeOptions, params }: FastifyRequest, caller: Caller): void {
  const { access } = routeOptions.config;
  if (!access) throw new Error(`${routeOptions.url} does not say who may call it`);
  const { namespace } = params as { namespace?: string };
  if (namespace !== undefined && !canSee(caller, namespace)) {
    throw access.unseen?.() ?? new ProblemError('forbidden', 'this API key has no access to this namespace');
  }
  if (!caller.scopes.includes(access.scope)) {
    throw new ProblemError(
      'forbidden',
      `this API key has the scopes ${caller.scopes.join(', ')}, and this call needs ${access.scope}`,
    );
  }
}

function refused(refusal: 'mistyped' | 'unknown' | 'expired'): ProblemError {
  switch (refusal) {
    case 'mistyped':
      return unauthorized('this API key is mistyped or cut off: its check characters are wrong');
    case 'expired':
      return unauthorized('this API key has expired: ask for a new one');
    case 'unknown':
      return unauthorized('this API key is not known: it was revoked, or it is of another server');
  }
}

function unauthorized(detail: string): ProblemError {
  return new ProblemError('unauthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

function tooManyFailures(seconds: number): ProblemError {
  return new ProblemError(
    'rate_limited',
    `too many calls without a valid API key came from this address: try again in ${seconds} seconds`,
    { headers: { 'retry-after': String(seconds) } },
  );
}

/** A start while Postgres is away, with the queue on Redis: whoever has a key of the database can't be told yet. */
function keysUnknown(): ProblemError {
  return new ProblemError(
    'unavailable',
    'API keys cannot be looked up, because the database cannot be reached: try again',
    { headers: { 'retry-after': '1' } },
  );
}
