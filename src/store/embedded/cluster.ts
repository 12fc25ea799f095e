// The cluster's folder: created whole or not at all, and checked before it is used.
import { createHmac, randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { OperatorError } from '../../errors.ts';
import { makeFolder } from '../../make-folder.ts';
import { findPlatform, isOneOf, type Platform } from './platform.ts';
import { chooseRunner, type Runner } from './run-as.ts';

/** What is needed to run a server on one folder: `home` holds `data`, `password` and `postgres.log`. */
export interface Cluster {
  home: string;
  data: string;
  logFile: string;
  password: string;
  postgres: string;
  runner: Runner;
}

/** What a folder is refused with that can't be used as it is. */
const UNUSABLE = [
  ...['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'],
  ...['EEXIST', 'ENOTDIR', 'ENOENT', 'ELOOP', 'ENAMETOOLONG'],
];

/** The superuser's name, and that of the database. */
export const OWNER = 'inlet';

/** The role that Inlet runs as. */
export const RUNTIME_ROLE = 'inlet_app';

/** Its password follows from the superuser's, so there is nothing more to keep. */
export function runtimePassword({ password }: Pick<Cluster, 'password'>): string {
  return createHmac('sha256', password).update(RUNTIME_ROLE).digest('hex');
}

/**
 * Opens the cluster in `dataDir/postgres`, creating it at first use.
 *
 * @param dataDir created where missing
 * @param options.sync whether initdb waits for the disk; only tests say false
 * @throws OperatorError when the folder can't be used, with what to do about it
 */
export async function openCluster(dataDir: string, options: { sync?: boolean } = {}): Promise<Cluster> {
  const platform = await findPlatform();
  try {
    await makeFolder(dataDir);
    const home = path.join(await realpath(dataDir), 'postgres');
    const runner = await chooseRunner(platform, home);
    const major = await majorOf(platform, runner);
    await removeLeftovers(home);
    const found = (await readVersion(home)) ?? (await create(home, platform, runner, options.sync ?? true));
    if (found !== major) {
      throw new OperatorError(
        `${home} was written by PostgreSQL ${found}, and this Inlet brings PostgreSQL ${major}: start the Inlet ` +
          `that wrote it, save the data with pg_dump, and restore it into a new INLET_DATA_DIR or DATABASE_URL`,
      );
    }
    return {
      home,
      data: path.join(home, 'data'),
      logFile: path.join(home, 'postgres.log'),
      password: (await readFile(path.join(home, 'password'), 'utf8')).trim(),
      postgres: platform.postgres,
      runner,
    };
  } catch (cause) {
    if (!isOneOf(cause, UNUSABLE)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OperatorError(
      `The embedded PostgreSQL can't use ${path.resolve(dataDir)} (${reason}): start Inlet as the user who owns it, ` +
        'or set INLET_DATA_DIR to another folder, or DATABASE_URL to a PostgreSQL',
      { cause },
    );
  }
}

/** Asks the binary itself, which also shows whether it runs on this machine and as this user. */
async function majorOf(platform: Platform, runner: Runner): Promise<string> {
  try {
    const answer = await runner.run(platform.postgres, ['--version']);
    return /\(PostgreSQL\) (\d+)/.exec(answer)?.[1] ?? answer.trim();
  } catch (cause) {
    throw new OperatorError(
      `${platform.postgres} doesn't run as ${runner.who} (${lastLine(cause)}): set DATABASE_URL to a PostgreSQL`,
      { cause },
    );
  }
}

async function readVersion(home: string): Promise<string | undefined> {
  try {
    return (await readFile(path.join(home, 'data', 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if (isOneOf(error, ['ENOENT'])) return undefined;
    throw error;
  }
}

/**
 * Runs initdb in a folder beside `home` and renames that, password and all. A process killed half-way leaves a
 * folder that the next start removes; of two at once, the later one finds the name taken and uses the other's.
 */
async function create(home: string, platform: Platform, runner: Runner, sync: boolean): Promise<string> {
  const temporary = `${home}.new-${process.pid}-${randomBytes(4).toString('hex')}`;
  const password = path.join(temporary, 'password');
  await mkdir(temporary, { mode: 0o700 });
  await chmod(temporary, 0o700); // whatever the umask
  await writeFile(password, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600, flush: true });
  await runner.give(password);
  await runner.give(temporary);
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = [`--username=${OWNER}`, `--pwfile=${password}`, '--auth=scram-sha-256'];
  const rest = ['--no-instructions', ...(sync ? [] : ['--no-sync'])];
  try {
    await runner.run(platform.initdb, ['-D', path.join(temporary, 'data'), ...locale, ...access, ...rest]);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
    throw new OperatorError(`PostgreSQL's initdb failed in ${temporary}: ${lastLine(cause)}`, { cause });
  }
  try {
    await rename(temporary, home);
    if (sync) await syncFolder(path.dirname(home));
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
    if (!isOneOf(cause, ['ENOTEMPTY', 'EEXIST', 'EPERM', 'EBUSY'])) throw cause;
  }
  const version = await readVersion(home);
  if (version !== undefined) return version;
  throw new OperatorError(
    `${home} exists and holds no database: move it away, or set INLET_DATA_DIR to another folder`,
  );
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return; // folders can't be opened there
  const handle = await open(folder);
  await handle.sync().finally(() => handle.close());
}

/** Removes what starts that were killed during initdb left beside `home`, unless their process may still live. */
async function removeLeftovers(home: string): Promise<void> {
  for (const name of await readdir(path.dirname(home))) {
    const pid = /^postgres\.new-(\d+)-/.exec(name)?.[1];
    // The own pid counts as dead: in a container every start may have the same one.
    if (pid === undefined || (Number(pid) !== process.pid && isAlive(Number(pid)))) continue;
    await rm(path.join(path.dirname(home), name), { recursive: true, force: true, maxRetries: 3 });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isOneOf(error, ['ESRCH']);
  }
}

function lastLine(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  const text = stderr === '' ? String(error) : stderr;
  return text.split('\n').at(-1) ?? text;
}
