/** PgBouncer for tests, in front of a Postgres. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import type { TestCertificate } from './certificate.ts';
import { query } from './postgres.ts';
import { reapAfterDeath } from './reaper.ts';
import { waitFor } from './wait-for.ts';

/** As whom it runs where the tests run as root, which it refuses to be: nobody. */
const NOBODY = 65_534;

export interface TestPgBouncer {
  /** The same database as that of the URL that it was started with. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Whether it can be run here. */
export async function hasPgBouncer(): Promise<boolean> {
  return promisify(execFile)('pgbouncer', ['--version']).then(
    () => true,
    () => false,
  );
}

/**
 * Starts one and waits until it answers.
 * @param target the URL of a database, which it connects to as the user of that
 * @param options.tls what it shows to clients that ask for TLS
 * @param options.settings further lines of its settings
 */
export async function startPgBouncer(
  target: string,
  options: {
    mode: 'session' | 'transaction' | 'statement';
    tls?: TestCertificate;
    settings?: readonly string[];
  },
): Promise<TestPgBouncer> {
  const { hostname, port, username, password, pathname } = new URL(target);
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-pgbouncer-'));
  const own = await freePort();
  const as = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const tls: string[] = [];
  for (const [name, text] of Object.entries(options.tls ?? {})) {
    const file = path.join(folder, `${name}.pem`);
    await writeFile(file, text);
    tls.push(`client_tls_${name}_file = ${file}`);
  }
  const settings = [
    '[databases]',
    `* = host=${hostname} port=${port} user=${username} password=${password}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${own}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${options.mode}`,
    // In session mode each connection of Inlet takes one.
    `default_pool_size = ${options.mode === 'session' ? 30 : 10}`,
    ...tls,
    ...(options.tls ? ['client_tls_sslmode = allow'] : []),
    ...(options.settings ?? []),
  ];
  const file = path.join(folder, 'pgbouncer.ini');
  await writeFile(file, settings.join('\n'));
  if (as.uid !== undefined) {
    for (const each of [
      folder,
      file,
      ...Object.keys(options.tls ?? {}).map((name) => `${folder}/${name}.pem`),
    ]) {
      await chown(each, as.uid, as.gid);
    }
  }
  await chmod(folder, 0o700);
  const child = spawn('pgbouncer', [file], { ...as, detached: true, stdio: 'ignore' });
  await once(child, 'spawn');
  const callOff = reapAfterDeath(child.pid ?? 0, 'KILL', folder);
  const url = `postgres://${username}@localhost:${own}${pathname}`;
  await waitFor('PgBouncer to answer', async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with ${child.exitCode}`);
    return (await query(url, 'SELECT 1')).length === 1;
  });
  return {
    url,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      await callOff();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
