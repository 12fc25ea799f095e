/** A connection to Postgres that outlives its server. */
import pg from 'pg';

/**
 * A client for pools, and for whoever keeps a connection open. When it breaks while nobody listens, Node.js ends the
 * process: between two statements of whoever has it from a pool, in the moment in which it is made, while it is being
 * closed. Whoever uses it learns of it anyway: the next statement fails. (A listener of its own would not do, because
 * libraries remove all that there are.)
 */
export class SteadyClient extends pg.Client {
  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event === 'error' && this.listenerCount('error') === 0) return false;
    return super.emit(event, ...values);
  }
}
