/** The hook of the routes that bring data: while the queue is full it answers before anything of a body is read. */
import type { onRequestHookHandler } from 'fastify';
import type { ProblemError } from '../errors.ts';

export interface WriteRefusalDeps {
  /** What writes are to be answered with; undefined while they are taken. Asked for each of them. */
  readonly writeRefusal: () => ProblemError | undefined;
}

export function refuseWhileFull({ writeRefusal }: WriteRefusalDeps): onRequestHookHandler {
  return (_request, _reply, done) => {
    done(writeRefusal());
  };
}
