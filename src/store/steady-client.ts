/** A connection to Postgres that outlives its server. */
import pg from 'pg';

/**
 * A client for pools. Between two of its statements a client that is in use has nobody who listens to it, and
 * Node.js ends a process whose connection breaks in that moment. Whoever uses it learns of it anyway: the next
 * statement fails.
 */
export class SteadyClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}
