// Decides as whom PostgreSQL runs: it refuses to run as root, so a root process has to start it as somebody else.
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { chown, lstat, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { OperatorError } from '../../errors.ts';
import { isOneOf, type Platform } from './platform.ts';

/** Starts programs as the user that PostgreSQL runs as. */
export interface Runner {
  /** For messages, like `user 65534`. */
  who: string;
  spawn(file: string, args: string[], options?: SpawnOptions): ChildProcess;
  /** Runs to the end; resolves with standard output, rejects with execFile's error, which has `stderr`. */
  run(file: string, args: string[]): Promise<string>;
  /** Hands a file or folder over to that user. */
  give(file: string): Promise<void>;
}

interface Identity {
  uid: number;
  gid: number;
}

/**
 * Chooses the user: the current one, or, where that is root, the owner of the existing cluster, else `postgres`,
 * else `nobody`. The user may be unable to enter a folder on the way (a checkout under /root, or in a folder made
 * by `mktemp -d`); then programs are started through setpriv (util-linux), which leaves them the one capability
 * to pass folders they have no right to. It has to be DAC_OVERRIDE: Docker doesn't grant the narrower
 * DAC_READ_SEARCH, which moreover can't execute files installed under umask 077.
 *
 * @param home the cluster's folder, which need not exist yet; its parent must, and both without symbolic links
 * @throws OperatorError when the way is barred and setpriv is missing
 */
export async function chooseRunner(platform: Platform, home: string): Promise<Runner> {
  if (process.getuid?.() !== 0) return ordinary();
  const identity = (await ownerOf(path.join(home, 'data'))) ?? (await serviceUser());
  const barred = await findBarred(platform, path.dirname(home), identity);
  if (barred === undefined) return switching(identity);
  if (await hasSetpriv()) return keepingAccess(identity);
  throw new OperatorError(
    `PostgreSQL can't run as root and would run as user ${identity.uid}, who has no access to ${barred}: ` +
      `install setpriv (util-linux), or run: chmod o+rx ${barred}, or start Inlet as an ordinary user`,
  );
}

/** The environment of PostgreSQL's programs: PG* and LC_* variables would change what they do, others are secrets. */
function environment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot'].map((name) => [name, process.env[name]]);
  return { ...Object.fromEntries(kept.filter(([, value]) => value !== undefined)), LC_ALL: 'C' };
}

const execute = promisify(execFile);

function ordinary(): Runner {
  return {
    who: 'this user',
    spawn: (file, args, options) => spawn(file, args, { env: environment(), ...options }),
    run: async (file, args) => (await execute(file, args, { env: environment() })).stdout,
    give: async () => {},
  };
}

function switching({ uid, gid }: Identity): Runner {
  return {
    who: `user ${uid}`,
    spawn: (file, args, options) => spawn(file, args, { env: environment(), uid, gid, ...options }),
    run: async (file, args) => (await execute(file, args, { env: environment(), uid, gid })).stdout,
    give: (file) => chown(file, uid, gid),
  };
}

function keepingAccess({ uid, gid }: Identity): Runner {
  const base = ordinary();
  const capability = ['--inh-caps', '-all,+dac_override', '--ambient-caps', '-all,+dac_override'];
  // access(2), with which PostgreSQL looks for its own files, heeds capabilities of ordinary users only with this.
  const securebits = ['--securebits', '+no_setuid_fixup'];
  const prefix = [
    '--reuid',
    `${uid}`,
    '--regid',
    `${gid}`,
    '--clear-groups',
    ...capability,
    ...securebits,
    '--',
  ];
  return {
    who: `user ${uid} (through setpriv)`,
    spawn: (file, args, options) => base.spawn('setpriv', [...prefix, file, ...args], options),
    run: (file, args) => base.run('setpriv', [...prefix, file, ...args]),
    give: (file) => chown(file, uid, gid),
  };
}

async function ownerOf(folder: string): Promise<Identity | undefined> {
  try {
    const { uid, gid } = await lstat(folder);
    return uid === 0 ? undefined : { uid, gid };
  } catch (error) {
    if (isOneOf(error, ['ENOENT'])) return undefined;
    throw error;
  }
}

async function serviceUser(): Promise<Identity> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const entry = lines.find(([name]) => name === wanted);
    if (entry !== undefined) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new OperatorError(
    "PostgreSQL can't run as root, and /etc/passwd has neither `postgres` nor `nobody` to run it as: " +
      'create one of them, or start Inlet as an ordinary user, or set DATABASE_URL',
  );
}

/** The first file or folder that `identity` may not use; mode bits only, access lists are not looked at. */
async function findBarred(platform: Platform, parent: string, identity: Identity) {
  const needed: [string, number][] = [
    [platform.postgres, 5],
    [platform.initdb, 5],
    [path.join(platform.root, 'package.json'), 4], // stands for all files: an umask of 077 shows here
    [parent, 1],
  ];
  for (const [file, bits] of needed) {
    for (const folder of ancestors(file)) if (!(await allows(folder, 1, identity))) return folder;
    if (!(await allows(file, bits, identity))) return file;
  }
  return undefined;
}

function ancestors(file: string): string[] {
  const parent = path.dirname(file);
  return parent === file ? [] : [...ancestors(parent), parent];
}

async function allows(file: string, bits: number, { uid, gid }: Identity): Promise<boolean> {
  const entry = await stat(file);
  const shift = entry.uid === uid ? 6 : entry.gid === gid ? 3 : 0;
  return ((entry.mode >> shift) & bits) === bits;
}

async function hasSetpriv(): Promise<boolean> {
  try {
    await execute('setpriv', ['--version']);
    return true;
  } catch (error) {
    if (isOneOf(error, ['ENOENT', 'EACCES'])) return false;
    throw error;
  }
}
