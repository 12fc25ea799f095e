/** `npm run dev`, as developers run it, on a copy of the sources. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test as plain } from 'vitest';
import { findPostmaster } from '../../src/store/embedded/postmaster.ts';
import { waitFor } from '../support/wait-for.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['src', 'migrations', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

/** The longest that a build and a start may take on a busy machine, in milliseconds. */
const START_MS = 60_000;

const test = plain.extend(
  'folder',
  { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
  async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), 'inlet-dev-'));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755); // PostgreSQL doesn't run as root
    for (const name of COPIED) await cp(join(ROOT, name), join(folder, name), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    return folder;
  },
);

class Dev {
  readonly #npm: ChildProcess;
  readonly #folder: string;
  readonly #closed: Promise<unknown>;
  output = '';

  constructor(folder: string) {
    this.#folder = folder;
    const { DATABASE_URL: _, REDIS_URL: __, INLET_DATA_DIR: ___, ...environment } = process.env;
    // A process group of its own, like a command in a terminal.
    this.#npm = spawn('npm', ['run', 'dev'], {
      cwd: folder,
      env: { ...environment, PORT: '0' },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#npm.stdout, this.#npm.stderr])
      stream?.on('data', (chunk) => {
        this.output += chunk;
      });
    this.#closed = once(this.#npm, 'close');
    onTestFinished(async () => {
      if (await this.#isRunning()) await this.end('SIGTERM', 'group');
    });
  }

  /** How often something was printed. */
  times(text: string): number {
    return this.output.split(text).length - 1;
  }

  async printed(text: string, times = 1): Promise<void> {
    await waitFor(`"${text}" ${times} times`, () => this.times(text) >= times, START_MS).catch((error) => {
      throw new Error(`${error.message} in:\n${this.output}`);
    });
  }

  /** The URL of the API after so many starts. */
  async url(starts: number): Promise<string> {
    await this.printed('the API listens', starts);
    return waitFor('the URL', () => [...this.output.matchAll(/"url":"(http[^"]+)"/g)][starts - 1]?.[1]);
  }

  /** Sends a signal to npm alone, or to the group as a terminal does, and waits until all processes are gone. */
  async end(signal: NodeJS.Signals, to: 'npm' | 'group'): Promise<void> {
    if (to === 'npm') this.#npm.kill(signal);
    else process.kill(-(this.#npm.pid ?? 0), signal);
    await this.#closed;
    await waitFor('all processes to end', async () => !(await this.#isRunning()), 40_000);
  }

  async #isRunning(): Promise<boolean> {
    try {
      process.kill(-(this.#npm.pid ?? 0), 0);
      return true;
    } catch {
      return (await findPostmaster(join(this.#folder, '.inlet-dev/postgres/data'))) !== undefined;
    }
  }
}

async function versionOf(url: string): Promise<string> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { info: { version: string } };
  return document.info.version;
}

test('it restarts once for a burst of changes, survives errors, and Ctrl-C ends all of it', {
  timeout: 180_000,
}, async ({ folder }) => {
  const dev = new Dev(folder);
  const first = await dev.url(1);
  // Where nobody looks at a terminal the log has only its path.
  const key = (await readFile(join(folder, '.inlet-dev/api-key'), 'utf8')).trim();
  const written = await fetch(`${first}/v1/data/dev`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"data":{"id":"a"}}',
  });
  expect(written.status).toBe(202);

  const file = join(folder, 'src/version.ts');
  const source = await readFile(file, 'utf8');
  for (const version of ['1', '2', '3', '4']) {
    await writeFile(file, `export const VERSION: string = '9.9.${version}';\n`);
    await delay(100);
  }
  const second = await dev.url(2);
  expect(await versionOf(second)).toBe('9.9.4');

  await writeFile(file, 'export const VERSION: number = "broken";\n');
  await dev.printed('The last good build keeps running.');
  expect(dev.output).toContain('error TS2322');
  expect(await versionOf(second)).toBe('9.9.4');
  expect(dev.times('src/version.ts changed')).toBe(2);
  expect(dev.times('inlet starts')).toBe(2);

  await writeFile(file, source);
  const third = await dev.url(3);
  const read = await fetch(`${third}/v1/data/dev/objects/a`, { headers: { authorization: `Bearer ${key}` } });
  expect(read.status).toBe(200);

  await dev.end('SIGINT', 'group');
  expect(dev.output.trimEnd()).toMatch(/stopped$/);
});

test('a signal to npm alone ends all of it, too, also while it builds', { timeout: 180_000 }, async ({
  folder,
}) => {
  const running = new Dev(folder);
  await running.url(1);
  await running.end('SIGTERM', 'npm');
  expect(running.output.trimEnd()).toMatch(/stopped$/);

  const building = new Dev(folder);
  await building.printed('Building.');
  await building.end('SIGTERM', 'npm');
  expect(building.output).not.toContain('the API listens');
});
