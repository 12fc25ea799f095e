/** The connections to Postgres, and the one place where a broken connection gets its name. */
import pg from 'pg';
import { StoreUnavailableError } from './faults.ts';
import { SteadyClient } from './steady-client.ts';

/**
 * How long a transaction may wait for its next statement, in milliseconds. A machine that is gone, or out of reach,
 * doesn't close its connections, and Postgres would keep the locks of its transactions for as long as TCP takes to
 * notice: two hours. (Its transactions may wait for one another; then one goes after the other.) A worker that was only
 * stopped for so long tries its batch again. Longer than anything that is waited for within a transaction.
 */
const IDLE_IN_TRANSACTION_MS = 5_000;

export interface DatabaseOptions {
  readonly url: string;
  /** Most connections at one time. */
  readonly poolSize: number;
  /** Longest wait for an answer, in milliseconds; then the connection counts as broken. */
  readonly queryTimeoutMs: number;
  /** How many former versions of each object its transactions keep; the schema's default where it isn't given. */
  readonly historyLimit?: number;
  /** Told of errors on idle connections, which no call reports. */
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
  readonly #begin: string;

  constructor({ url, poolSize, queryTimeoutMs, historyLimit, onError }: DatabaseOptions) {
    // For each transaction and in one message with its begin: a setting of the connection would not get through
    // every pooler, and would lose against options in the URL.
    const settings = [`idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS}`];
    if (historyLimit !== undefined) settings.push(`inlet.history_limit = ${historyLimit}`);
    this.#begin = ['BEGIN', ...settings.map((each) => `SET LOCAL ${each}`)].join('; ');
    this.#poolSize = poolSize;
    this.#pool = new pg.Pool({
      Client: SteadyClient,
      connectionString: url,
      max: poolSize,
      connectionTimeoutMillis: 4_000,
      query_timeout: queryTimeoutMs,
      keepAlive: true,
      application_name: 'inlet',
    });
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
   * @param read a SELECT without parameters
   * @throws as {@link transaction}
   */
  async transactionWith<Row extends pg.QueryResultRow, T>(
    read: string,
    use: (transaction: Queryable, rows: readonly Row[]) => Promise<T>,
  ): Promise<T> {
    const client = await this.#pool.connect().catch(unavailable);
    let broken = false;
    try {
      const begun = await run<Row>(client, { text: `${this.#begin}; ${read}` });
      // pg answers several statements with a list of results, which its types don't tell.
      const rows = [begun].flat().at(-1)?.rows ?? [];
      const result = await use(queryableOn(client), rows);
      await run(client, { text: 'COMMIT' });
      return result;
    } catch (error) {
      // A connection that can't even roll back is not to be used again; closing it rolls back.
      broken = await run(client, { text: 'ROLLBACK' }).then(
        () => false,
        () => true,
      );
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** Whether Postgres answers; never throws. */
  async isUp(): Promise<boolean> {
    return this.query({ text: 'SELECT 1' }).then(
      () => true,
      () => false,
    );
  }

  /** Waits for statements in hand. */
  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/** Statements on a connection that is somebody's own. @throws as those of {@link Database.query} */
export function queryableOn(client: pg.ClientBase): Queryable {
  return {
    query: async <Row extends pg.QueryResultRow>(statement: Statement) =>
      (await run<Row>(client, statement)).rows,
    write: async (statement) => (await run(client, statement)).rowCount ?? 0,
  };
}

async function run<Row extends pg.QueryResultRow>(
  on: pg.Pool | pg.ClientBase,
  { name, text, values, timeoutMs }: Statement,
): Promise<pg.QueryResult<Row>> {
  const options = { ...(name ? { name } : {}), ...(timeoutMs ? { query_timeout: timeoutMs } : {}) };
  return on.query<Row>({ text, values: values ? [...values] : [], ...options }).catch(unavailable);
}

function unavailable(error: unknown): never {
  if (error instanceof pg.DatabaseError && error.code) throw error;
  throw new StoreUnavailableError(error instanceof Error ? error.message : String(error), { cause: error });
}
