/** The role of the processes that run: it reads and changes rows, and can neither drop nor alter what holds them. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import pg from 'pg';
import { OperatorError } from '../errors.ts';
import type { Queryable } from './database.ts';
import { sqlState } from './faults.ts';

const INSUFFICIENT_PRIVILEGE = '42501';

/** Iterations of a password's hash, as many as Postgres makes. */
const ITERATIONS = 4_096;

const FIND = `
  SELECT current_user = $1 AS is_owner, rolsuper OR rolcreaterole AS may_create,
         EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS is_there,
         ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname IN ('inlet', 'inlet_queue')) AS schemas
  FROM pg_roles WHERE rolname = current_user`;

/** Versions of the schema are the owner's to change. */
const LEDGERS: Readonly<Record<string, string>> = {
  inlet: 'inlet.migrations',
  inlet_queue: 'inlet_queue.migration',
};

/** How the running processes use the database. */
export interface Runtime {
  /** With which they connect. */
  readonly url: string;
  /** Names of their queues. */
  readonly queues: readonly string[];
}

/** BullMQ makes a sequence when the first jobs are added to a queue in bulk, which the role may not. */
const MAKE_SEQUENCES = `
  SELECT inlet_queue.next_job_id(name) FROM unnest($1::text[]) AS name
  WHERE to_regclass('inlet_queue.' || inlet_queue.job_id_seq_name(name)) IS NULL`;

/**
 * Gives the role of a URL the rights that a running Inlet needs, and makes it where it isn't there.
 * @param transaction of the role that owns the tables
 * @param runtime nothing is changed where it connects as the owner itself
 * @throws OperatorError where the role isn't there, and the owner may not make it; as `Database.query`
 */
export async function grantRuntimeRole(transaction: Queryable, { url, queues }: Runtime): Promise<void> {
  // A client reads the URL as it will be read to connect.
  const { user = '', password } = new pg.Client(url);
  const [found] = await transaction.query<{
    is_owner: boolean;
    may_create: boolean;
    is_there: boolean;
    schemas: string[];
  }>({ text: FIND, values: [user] });
  if (!found || found.is_owner) return;
  const role = pg.escapeIdentifier(user);
  if (!found.is_there) {
    if (!found.may_create) throw noSuchRole(role);
    const secret = password ? ` PASSWORD ${pg.escapeLiteral(verifierOf(password))}` : '';
    await transaction.query({ text: `CREATE ROLE ${role} LOGIN${secret}` });
  }
  if (found.schemas.includes('inlet_queue'))
    await transaction.query({ text: MAKE_SEQUENCES, values: [queues] });
  for (const schema of found.schemas)
    await transaction.query({ text: grants(schema, role) }).catch((error: unknown) => {
      throw sqlState(error) === INSUFFICIENT_PRIVILEGE ? notTheOwner(error as Error) : error;
    });
}

function grants(schema: string, role: string): string {
  return `
    GRANT USAGE ON SCHEMA ${schema} TO ${role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role};
    GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role};
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${role};
    REVOKE INSERT, UPDATE, DELETE ON ${LEDGERS[schema]} FROM ${role}`;
}

function notTheOwner(cause: Error): OperatorError {
  return new OperatorError(
    `The role of DATABASE_URL cannot be given its rights: ${cause.message}. ` +
      'DATABASE_MIGRATION_URL must be of the role that owns all tables in the schemas inlet and inlet_queue.',
    { cause },
  );
}

function noSuchRole(role: string): OperatorError {
  return new OperatorError(
    `The role ${role} of DATABASE_URL does not exist, and the one of DATABASE_MIGRATION_URL may not create it. ` +
      `Create it as a superuser: CREATE ROLE ${role} LOGIN PASSWORD '…'.`,
  );
}

/** What Postgres keeps of a password (RFC 5803): sent instead of it, the password is in no log of statements. */
function verifierOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const keyFor = (what: string): Buffer => createHmac('sha256', salted).update(what).digest();
  const stored = createHash('sha256').update(keyFor('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${stored}:${keyFor('Server Key').toString('base64')}`;
}
