/** The database for commands that administer Inlet: the one of the settings, or the embedded one of an Inlet that runs. */
import { OperatorError } from '../errors.ts';
import { Database } from '../store/database.ts';
import { findEmbeddedUrl } from '../store/embedded-url.ts';
import { StoreUnavailableError } from '../store/faults.ts';
import { requireCurrentSchema } from '../store/migrate.ts';

const QUERY_TIMEOUT_MS = 10_000;

/**
 * Runs `use` on the database.
 * @throws OperatorError where there is none, it can't be reached, or its schema is too old
 */
export async function withAdminDatabase<T>(
  config: { readonly databaseUrl: string | undefined; readonly dataDir: string },
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const database = new Database({
    url: config.databaseUrl ?? (await embeddedUrl(config.dataDir)),
    poolSize: 1,
    queryTimeoutMs: QUERY_TIMEOUT_MS,
    // Connections are used at once, so their errors are those of statements.
    onError: () => undefined,
  });
  try {
    await requireCurrentSchema(database);
    return await use(database);
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    throw new OperatorError(`Postgres cannot be reached: ${error.message}`, { cause: error });
  } finally {
    await database.close();
  }
}

async function embeddedUrl(dataDir: string): Promise<string> {
  const url = await findEmbeddedUrl(dataDir).catch((error: Error) => {
    throw new OperatorError(`Cannot read the embedded Postgres under ${dataDir}: ${error.message}`);
  });
  if (url !== undefined) return url;
  throw new OperatorError(
    `DATABASE_URL is not set, and no embedded Postgres runs under ${dataDir}: set it, or start "inlet serve" first.`,
  );
}
