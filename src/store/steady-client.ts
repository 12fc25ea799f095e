/** A connection to Postgres that outlives its server. */
import pg from 'pg';

/**
 * A client for pools, and for whoever keeps a connection open. When it breaks while nobody listens, Node.js ends the
 * process: between two statements of whoever has it from a pool, in the moment in which it is made, while it is being
 * closed. Whoever uses it learns of it anyway: the next statement fails. (A listener of its own would not do, because
 * libraries remove all that there are.)
 *
 * Once it is being closed, what its server says is no error to anybody. A pool is closed when it has said goodbye on all
 * of its connections, not when that was heard: an embedded Postgres that is stopped next would break them off, and each
 * of them tell so.
 */
export class SteadyClient extends pg.Client {
  #isEnding = false;

  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | void {
    this.#isEnding = true;
    return callback ? super.end(callback) : super.end();
  }

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event === 'error' && (this.#isEnding || this.listenerCount('error') === 0)) return false;
    return super.emit(event, ...values);
  }
}
