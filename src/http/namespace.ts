/** The `{namespace}` of a path. */
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';
import { isNamespace } from '../domain/objects.ts';
import { ProblemError } from '../errors.ts';

export interface NamespaceParams {
  Params: { namespace: string };
}

/** What a caller is told of a namespace that it may not see. */
export function noSuchNamespace(): ProblemError {
  return new ProblemError('not_found', 'there is no such namespace that this API key can see');
}

/** Answers 400 where the namespace of the path is none. */
export function requireNamespace(
  request: FastifyRequest<NamespaceParams>,
  _reply: FastifyReply,
  done: HookHandlerDoneFunction,
): void {
  if (isNamespace(request.params.namespace)) done();
  else done(new ProblemError('invalid_request', 'a namespace is 1 to 128 of the characters A-Z a-z 0-9 _ -'));
}
