/** How many connections Postgres allows. */
import type { Queryable } from './database.ts';

/** The least of the limits that hold for this role in this database. */
export interface ConnectionLimit {
  readonly most: number;
  /** What sets it, for the log. */
  readonly by: string;
}

// Limits of roles and databases, and the reserve for superusers, don't hold for superusers.
const LIMITS = `
  SELECT rolsuper AS "isSuperuser", rolconnlimit AS role, datconnlimit AS database,
    current_setting('max_connections')::integer AS server,
    current_setting('superuser_reserved_connections')::integer
      + coalesce(current_setting('reserved_connections', true), '0')::integer AS reserved
  FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`;

interface LimitsRow {
  readonly isSuperuser: boolean;
  /** Negative where there is none, as that of the database. */
  readonly role: number;
  readonly database: number;
  readonly server: number;
  readonly reserved: number;
}

/** @throws as {@link Queryable.query} */
export async function connectionLimit(database: Queryable): Promise<ConnectionLimit> {
  const [row] = await database.query<LimitsRow>({ text: LIMITS });
  if (!row) return { most: Number.POSITIVE_INFINITY, by: 'nothing' };
  const server = { most: row.server - (row.isSuperuser ? 0 : row.reserved), by: 'max_connections' };
  if (row.isSuperuser) return server;
  const others = [
    { most: row.role, by: "the role's connection limit" },
    { most: row.database, by: "the database's connection limit" },
  ].filter(({ most }) => most >= 0);
  return [server, ...others].reduce((least, each) => (each.most < least.most ? each : least));
}
