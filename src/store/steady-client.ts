/** A connection to Postgres that outlives its server, and doesn't wait for one that is gone. */
import type { Socket } from 'node:net';
import pg from 'pg';
import { cancelStatement } from './cancel-statement.ts';
import type { Backend, ConnectionWatch } from './connection-watch.ts';
import { connectionWatch } from './connection-watch.ts';

/** After so many milliseconds without a byte TCP asks whether the other machine is there; ten seconds later it gives up. */
const KEEP_ALIVE_MS = 5_000;

/** Longest time that a new connection may take to tell which process of the server it has, in milliseconds. */
const FIND_BACKEND_MS = 4_000;

/** Settings of a {@link SteadyClient}, which a pool hands on to it. */
export interface SteadyClientConfig extends pg.ClientConfig {
  /** Told when connections were found dead, and while the server doesn't answer. */
  readonly onTrouble?: (error: Error) => void;
  /** Looks after the connection; that of the process unless told. */
  readonly watch?: ConnectionWatch;
}

/**
 * A client for pools, and for whoever keeps a connection open.
 *
 * - When it breaks while nobody listens, Node.js would end the process: between two statements of whoever has it from a
 *   pool, in the moment in which it is made, while it is being closed. Whoever uses it learns of it anyway: the next
 *   statement fails. (A listener of its own would not do, because libraries remove all that there are.)
 * - Once it is being closed, what its server says is no error to anybody. A pool is closed when it has said goodbye on
 *   all of its connections, not when that was heard.
 * - When it is closed with a statement in flight, as pools do after a timeout, the server is asked to stop that. It
 *   would go on otherwise, and keep its locks and its place among `max_connections`.
 * - Behind a pooler it has no named statements.
 * - When it goes dead, the process's {@link connectionWatch} notices.
 */
export class SteadyClient extends pg.Client {
  /** The server, database and user that it connects to. */
  readonly server: string;
  readonly onTrouble: ((error: Error) => void) | undefined;
  declare readonly sslNegotiation: 'postgres' | 'direct';
  declare readonly readyForQuery: boolean | undefined;
  declare readonly processID: number;
  declare readonly secretKey: number;
  readonly #watch: ConnectionWatch;
  #backend: Backend | undefined;
  #isEnding = false;

  constructor(config: SteadyClientConfig = {}) {
    super(config);
    const { user, host, port, database } = this;
    this.server = `${user}@${host}:${port}/${database}`;
    this.onTrouble = config.onTrouble;
    this.#watch = config.watch ?? connectionWatch;
    const socket = this.#socket;
    socket.once('connect', () => socket.setKeepAlive(true, KEEP_ALIVE_MS));
  }

  /** Undefined behind a pooler, whose connections have no backend of their own, and where it can't be told. */
  get backend(): Backend | undefined {
    return this.#backend;
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Whether the server has yet to answer a statement, or to close the connection. */
  get isWaiting(): boolean {
    return this.#isEnding || this.readyForQuery === false;
  }

  /** Whether it has neither a statement nor a transaction. */
  get isIdle(): boolean {
    return !this.isWaiting && this.getTransactionStatus() === 'I';
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  /** With TLS another one from the moment of its handshake. */
  get #socket(): Socket {
    return this.connection.stream as Socket;
  }

  /** Connects, and finds out which of the server's processes it has: a round trip, once in a connection's life. */
  override connect(): Promise<this>;
  override connect(callback: (error: Error | null) => void): void;
  override connect(callback?: (error: Error | null) => void): Promise<this> | undefined {
    const connected = this.#connect();
    if (!callback) return connected;
    connected.then(() => callback(null), callback);
    return undefined;
  }

  /** Makes a client for the same server. @param timeoutMs for its connection, and for each statement, in milliseconds */
  sibling(timeoutMs: number): SteadyClient {
    const { host, port, user, database, password, ssl, sslNegotiation } = this;
    return new SteadyClient({
      ...{ host, port, user, database, password, ssl, sslnegotiation: sslNegotiation },
      ...{ connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs, application_name: 'inlet watch' },
    });
  }

  /** Behind a pooler each transaction may have another connection of the server, which doesn't know the names of statements. */
  override query = ((...args: readonly unknown[]) => {
    const [config, ...rest] = args;
    const isNamed =
      typeof config === 'object' && config !== null && 'name' in config && !('submit' in config);
    const sent = isNamed && !this.#backend ? [{ ...config, name: undefined }, ...rest] : args;
    return Reflect.apply(super.query, this, sent);
  }) as pg.Client['query'];

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | undefined {
    const ended = this.#end();
    if (!callback) return ended;
    void ended.then(callback);
    return undefined;
  }

  /** Breaks it off: whatever waits on it fails with `error`. */
  drop(error: Error): void {
    this.#socket.destroy(error);
  }

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event === 'error' && (this.#isEnding || this.listenerCount('error') === 0)) return false;
    return super.emit(event, ...values);
  }

  async #connect(): Promise<this> {
    await super.connect();
    // Not the client's own event: libraries remove its listeners.
    this.connection.once('end', () => this.#watch.remove(this));
    this.#watch.add(this);
    try {
      this.#backend = await this.#findBackend();
    } catch (error) {
      this.#socket.destroy();
      throw error;
    }
    return this;
  }

  async #findBackend(): Promise<Backend | undefined> {
    const own = {
      text: `SELECT pid, extract(epoch FROM backend_start)::text AS started
             FROM pg_stat_get_activity(pg_backend_pid())`,
      query_timeout: FIND_BACKEND_MS,
    };
    try {
      const { rows } = await this.query<Backend>(own);
      return rows.find(({ pid }) => pid === this.processID);
    } catch (error) {
      if (error instanceof pg.DatabaseError) return undefined;
      throw error;
    }
  }

  #end(): Promise<void> {
    this.#isEnding = true;
    const hasStatement = this.readyForQuery === false && !this.#socket.destroyed;
    return hasStatement ? cancelStatement(this).then(() => super.end()) : super.end();
  }
}
