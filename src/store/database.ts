/** The connections to Postgres, and the one place where a broken connection gets its name. */
import pg from 'pg';
import { isConnectionFault, StoreUnavailableError, sqlState } from './faults.ts';
import type { SteadyClientConfig } from './steady-client.ts';
import { SteadyClient } from './steady-client.ts';

/**
 * How long a transaction may wait for its next statement, in milliseconds. A machine that is gone, or out of reach,
 * doesn't close its connections, and Postgres would keep the locks of its transactions for as long as TCP takes to
 * notice: two hours. (Its transactions may wait for one another; then one goes after the other.) A worker that was only
 * stopped for so long tries its batch again. Longer than anything that is waited for within a transaction.
 */
const IDLE_IN_TRANSACTION_MS = 5_000;

/** How long a statement of a transaction waits for a lock, in milliseconds; then what it is about is isolated or tried again. */
const LOCK_TIMEOUT_MS = 2_000;

/**
 * How long after one was waited for in vain, and for how long after that, in milliseconds: what waits for a lock keeps the
 * place of others, and a lock that is held for longer would stop them all.
 */
const IMPATIENT_LOCK_TIMEOUT_MS = 100;
const IMPATIENT_FOR_MS = 10_000;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * The part of the client's patience that a statement of a transaction may take. The server gives up first, so that the
 * connection can go on, and nothing runs on for a client that has gone.
 */
const STATEMENT_TIMEOUT_PART = 0.9;

/** How long Postgres may take to tell that it is up, in milliseconds. */
const IS_UP_MS = 2_000;

export interface DatabaseOptions {
  readonly url: string;
  /** Most connections at one time. */
  readonly poolSize: number;
  /** Longest wait for an answer, in milliseconds; then the statement is stopped, and its connection closed. */
  readonly queryTimeoutMs: number;
  /** How many former versions of each object its transactions keep; the schema's default where it isn't given. */
  readonly historyLimit?: number;
  /** Told of what no call reports: errors on idle connections, and a server that doesn't answer. */
  readonly onError: (error: Error) => void;
}

/** Runs a statement. `name` makes Postgres parse and plan it once for each connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
  /** Longest wait for the answer, in milliseconds, where the connection's own limit is too short. */
  readonly timeoutMs?: number;
}

/** Whatever statements can be run on: the pool, or one transaction. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Row[]>;
  /** Runs a statement that writes. @returns how many rows it has written */
  write(statement: Statement): Promise<number>;
}

/** How a pool's connections are used. */
export interface PoolUse {
  readonly used: number;
  readonly idle: number;
  /** Callers that wait for a connection. */
  readonly waiting: number;
  /** Most connections at one time. */
  readonly size: number;
}

export class Database implements Queryable {
  readonly #pool: pg.Pool;
  readonly #poolSize: number;
  readonly #settings: string;
  readonly #queryTimeoutMs: number;
  #impatientUntil = 0;
  #isUp: Promise<boolean> | undefined;

  constructor({ url, poolSize, queryTimeoutMs, historyLimit, onError }: DatabaseOptions) {
    // For each transaction and in one message with its begin: a setting of the connection would not get through
    // every pooler, and would lose against options in the URL.
    const settings = [
      `idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS}`,
      statementTimeout(queryTimeoutMs),
    ];
    if (historyLimit !== undefined) settings.push(`inlet.history_limit = ${historyLimit}`);
    this.#settings = settings.map((each) => `SET LOCAL ${each}`).join('; ');
    this.#queryTimeoutMs = queryTimeoutMs;
    this.#poolSize = poolSize;
    const options: pg.PoolConfig & SteadyClientConfig = {
      Client: SteadyClient,
      connectionString: url,
      max: poolSize,
      connectionTimeoutMillis: 4_000,
      query_timeout: queryTimeoutMs,
      application_name: 'inlet',
      onTrouble: onError,
    };
    this.#pool = new pg.Pool(options);
    this.#pool.on('error', onError);
  }

  /** @throws pg.DatabaseError where Postgres answers with an error; StoreUnavailableError where it doesn't answer */
  async query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Row[]> {
    return (await run<Row>(this.#pool, statement)).rows;
  }

  /** @throws as {@link query} */
  async write(statement: Statement): Promise<number> {
    return (await run(this.#pool, statement)).rowCount ?? 0;
  }

  /** How its connections are used at this moment. */
  get pool(): PoolUse {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { used: totalCount - idleCount, idle: idleCount, waiting: waitingCount, size: this.#poolSize };
  }

  /**
   * Runs `use` in a transaction: committed when it resolves, rolled back when it rejects.
   * @throws what `use` throws, and as {@link query}
   */
  transaction<T>(use: (transaction: Queryable) => Promise<T>): Promise<T> {
    return this.transactionWith('', use);
  }

  /**
   * As {@link transaction}, and reads something in one message with its begin: it takes no round trip of its own.
   * @param read statements without parameters, the last of them a SELECT
   * @throws as {@link transaction}
   */
  async transactionWith<Row extends pg.QueryResultRow, T>(
    read: string,
    use: (transaction: Queryable, rows: readonly Row[]) => Promise<T>,
  ): Promise<T> {
    const client = await this.#pool.connect().catch(unreachable);
    let broken = false;
    const lockTimeout = this.#lockTimeout();
    const begunAt = performance.now();
    try {
      const begun = await run<Row>(client, { text: `${this.#begin(lockTimeout)}; ${read}` });
      // pg answers several statements with a list of results, which its types don't tell.
      const rows = [begun].flat().at(-1)?.rows ?? [];
      const result = await use(queryableOn(client, this.#queryTimeoutMs), rows);
      await run(client, { text: 'COMMIT' });
      return result;
    } catch (error) {
      // (A trigger may say the same at once.)
      const hasWaited = performance.now() - begunAt >= lockTimeout;
      if (hasWaited && sqlState(error) === LOCK_NOT_AVAILABLE) {
        this.#impatientUntil = performance.now() + IMPATIENT_FOR_MS;
      }
      // Nothing more is said on a connection that doesn't answer: that would be waited for as well. Closing it rolls back.
      broken = isConnectionFault(error) || !(await canRollBack(client));
      if (broken) unreachable(error);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  #lockTimeout(): number {
    return performance.now() < this.#impatientUntil ? IMPATIENT_LOCK_TIMEOUT_MS : LOCK_TIMEOUT_MS;
  }

  #begin(lockTimeout: number): string {
    // A role or database may have another default for the level, under which workers would fail one another's transactions.
    const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED';
    return `${begin}; ${this.#settings}; SET LOCAL lock_timeout = ${lockTimeout}`;
  }

  /** Whether Postgres answers in time; never throws. Takes one connection, however many ask. */
  isUp(): Promise<boolean> {
    this.#isUp ??= this.query({ text: 'SELECT 1', timeoutMs: IS_UP_MS })
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        this.#isUp = undefined;
      });
    return this.#isUp;
  }

  /** Waits for statements in hand. */
  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/**
 * Statements on a connection that is somebody's own.
 * @param transactionMs in a transaction of {@link Database}: how long its statements may take by default, in milliseconds
 * @throws as those of {@link Database.query}
 */
export function queryableOn(client: pg.ClientBase, transactionMs?: number): Queryable {
  const result = async <Row extends pg.QueryResultRow>(statement: Statement) => {
    if (transactionMs === undefined || statement.timeoutMs === undefined) return run<Row>(client, statement);
    await run(client, { text: `SET LOCAL ${statementTimeout(statement.timeoutMs)}` });
    const done = await run<Row>(client, statement);
    await run(client, { text: `SET LOCAL ${statementTimeout(transactionMs)}` });
    return done;
  };
  return {
    query: async <Row extends pg.QueryResultRow>(statement: Statement) => (await result<Row>(statement)).rows,
    write: async (statement) => (await result(statement)).rowCount ?? 0,
  };
}

function statementTimeout(clientMs: number): string {
  return `statement_timeout = ${Math.round(clientMs * STATEMENT_TIMEOUT_PART)}`;
}

async function canRollBack(client: pg.ClientBase): Promise<boolean> {
  return run(client, { text: 'ROLLBACK' }).then(
    () => true,
    () => false,
  );
}

async function run<Row extends pg.QueryResultRow>(
  on: pg.Pool | pg.ClientBase,
  { name, text, values, timeoutMs }: Statement,
): Promise<pg.QueryResult<Row>> {
  const options = { ...(name ? { name } : {}), ...(timeoutMs ? { query_timeout: timeoutMs } : {}) };
  return on.query<Row>({ text, values: values ? [...values] : [], ...options }).catch(unavailable);
}

/** Rethrows what a query or a connect has thrown. @throws as {@link Database.query} */
export function unavailable(error: unknown): never {
  if (error instanceof pg.DatabaseError && error.code && !endsConnection(error)) throw error;
  unreachable(error);
}

/** Servers may translate the severity; within a transaction the rollback tells as well. */
function endsConnection({ severity }: pg.DatabaseError): boolean {
  return severity === 'FATAL' || severity === 'PANIC';
}

/** For what went wrong with the connection, also where the server has said why: it shuts down, or has no room for another. */
function unreachable(error: unknown): never {
  if (isConnectionFault(error)) throw error;
  throw new StoreUnavailableError(error instanceof Error ? error.message : String(error), { cause: error });
}
