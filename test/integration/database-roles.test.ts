/** Two roles in Postgres: the owner, which migrates, and the one that Inlet runs as, which can neither drop nor alter. */
import { randomBytes } from 'node:crypto';
import { expect, inject, onTestFinished } from 'vitest';
import { runMigrations } from '../../src/runtime.ts';
import { OPTIONS } from '../support/delivered.ts';
import { EVALUATOR } from '../support/evaluated.ts';
import { describeOnBothQueues, startInlet } from '../support/fixtures.ts';
import { keptLog } from '../support/log.ts';
import { query } from '../support/postgres.ts';
import { makeEndpoint, startReceiver } from '../support/receiver.ts';
import { waitFor } from '../support/wait-for.ts';

/** The URL of another role of the same database. */
function asRole(databaseUrl: string, role: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = encodeURIComponent(password);
  return url.href;
}

/** A role that is there until the end of the test, made by the test or what it calls. */
function newRole(databaseUrl: string): { readonly role: string; readonly url: string } {
  const role = `Inlet "app" ${randomBytes(6).toString('hex')}`;
  const quoted = `"${role.replaceAll('"', '""')}"`;
  onTestFinished(async () => {
    await query(databaseUrl, `DROP OWNED BY ${quoted}`);
    await query(inject('postgresUrl'), `DROP ROLE ${quoted}`);
  });
  return { role: quoted, url: asRole(databaseUrl, encodeURIComponent(role), `p@ss'w/ört ${role}`) };
}

/** Postgres says so where a right is missing. */
const DENIED = '42501';

/** What a role with too many rights could do. */
const ATTACKS = [
  'DROP TABLE inlet.objects',
  'DROP SCHEMA inlet CASCADE',
  'DROP FUNCTION inlet.announce_api_keys CASCADE',
  'TRUNCATE inlet.objects',
  'ALTER TABLE inlet.objects ADD COLUMN x text',
  'ALTER TABLE inlet.api_keys DISABLE TRIGGER announce_api_keys',
  'ALTER TABLE inlet.objects OWNER TO CURRENT_USER',
  'CREATE TABLE inlet.mine (id text)',
  'CREATE FUNCTION inlet.mine() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
  'CREATE TRIGGER mine AFTER INSERT ON inlet.objects EXECUTE FUNCTION inlet.announce_api_keys()',
  'CREATE RULE mine AS ON DELETE TO inlet.objects DO INSTEAD NOTHING',
  'CREATE SCHEMA mine',
  'CREATE ROLE mine SUPERUSER',
  'ALTER ROLE CURRENT_USER SUPERUSER',
  'DELETE FROM inlet.migrations',
  `UPDATE inlet.migrations SET version = 9999`,
  'SET session_replication_role = replica',
  `COPY inlet.objects TO PROGRAM 'cat'`,
  `SELECT pg_read_file('/etc/passwd')`,
  `ALTER SYSTEM SET fsync = off`,
  'SET ROLE inlet',
];

describeOnBothQueues(
  'the role that Inlet runs as',
  (test, queue) => {
    test('is made by migrations, can do all that Inlet does, and nothing to the tables', async ({
      config,
      databaseUrl,
      store: { database },
    }) => {
      const { role, url } = newRole(databaseUrl);
      const { log, text } = keptLog('trace');
      const runtime = { ...config, databaseUrl: url, databaseMigrationUrl: databaseUrl };
      for (let times = 0; times < 2; times += 1) await runMigrations(runtime, log);
      expect(text).not.toContain('p@ss');

      const receiver = await startReceiver();
      await makeEndpoint(database, receiver.url);
      const inlet = await startInlet(runtime);
      const requestId = await inlet.write('roles', '{"data": [{"id": "a"}, {"id": "b"}]}');
      expect(await inlet.done('roles', requestId)).toMatchObject({ status: 'succeeded' });
      const again = await inlet.write('roles', '{"data": {"id": "a", "n": 2}}');
      expect(await inlet.done('roles', again)).toMatchObject({ status: 'succeeded' });
      const removed = await inlet.fetch('/v1/data/roles/objects/b', { method: 'DELETE' });
      const { requestId: removal } = (await removed.json()) as { requestId: string };
      expect(await inlet.done('roles', removal)).toMatchObject({ status: 'succeeded' });
      await waitFor('the events to be delivered', () => receiver.received.length === 3);
      const ready = await inlet.fetch('/readyz');
      expect(await ready.json()).toMatchObject({ writes: 'accepted' });

      const ofQueue = [
        'DROP TABLE inlet_queue.job',
        'DELETE FROM inlet_queue.migration',
        'TRUNCATE inlet_queue.job',
      ];
      for (const attack of queue === 'postgres' ? [...ATTACKS, ...ofQueue] : ATTACKS) {
        const outcome = await query(url, attack).then(
          () => 'it was done',
          (error: { code?: string }) => error.code,
        );
        expect(outcome, attack).toBe(DENIED);
      }
      expect(
        await query(
          databaseUrl,
          `SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication
      FROM pg_roles WHERE quote_ident(rolname) = '${role.replaceAll("'", "''")}'`,
        ),
      ).toEqual([
        {
          rolsuper: false,
          rolcreaterole: false,
          rolcreatedb: false,
          rolbypassrls: false,
          rolreplication: false,
        },
      ]);
    });

    test('is refused with what to do where it is not there and the owner may not make it, or owns too little', async ({
      config,
      databaseUrl,
    }) => {
      const owner = newRole(databaseUrl);
      const runtime = newRole(databaseUrl);
      const { log } = keptLog();
      await query(databaseUrl, `CREATE ROLE ${owner.role} LOGIN PASSWORD 'p'`);
      const name = decodeURIComponent(new URL(owner.url).username);
      const migrating = {
        ...{ ...config, databaseUrl: runtime.url },
        databaseMigrationUrl: asRole(databaseUrl, encodeURIComponent(name), 'p'),
      };
      await query(databaseUrl, `GRANT USAGE ON SCHEMA inlet, inlet_queue TO ${owner.role}`);
      await query(databaseUrl, `GRANT SELECT ON inlet.migrations, inlet_queue.migration TO ${owner.role}`);
      await expect(runMigrations(migrating, log)).rejects.toThrow(
        `Create it as a superuser: CREATE ROLE ${runtime.role}`,
      );
      await query(databaseUrl, `CREATE ROLE ${runtime.role} LOGIN PASSWORD 'p'`);
      await expect(runMigrations(migrating, log)).rejects.toThrow('must be of the role that owns all tables');
    });
  },
  // All that has a queue of its own.
  { ...OPTIONS, settings: { ...OPTIONS.settings, evaluator: EVALUATOR } },
);
