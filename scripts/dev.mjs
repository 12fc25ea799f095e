#!/usr/bin/env node
/**
 * `npm run dev`: builds Inlet, runs `inlet serve`, and does both again when the sources change. While they do not
 * compile, the last good build keeps running. Ctrl-C shuts everything down.
 *
 * It needs no build itself, so that it starts on sources that do not compile.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pretty from 'pino-pretty';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What a running Inlet is made of. */
const SOURCES = ['src', 'migrations', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

/** Not the files that editors make beside them. */
const SOURCE_FILE = /\.(?:ts|js|json|sql)$/;

/**
 * How often the sources are read, in milliseconds. One reading takes 4 ms for 270 files, and unlike `fs.watch` it works on
 * every file system, and for files and folders that are replaced.
 */
const POLL_MS = 300;

/** How often to look for the parent process, in milliseconds. */
const PARENT_CHECK_MS = 500;

const TSC = [
  join(ROOT, 'node_modules/typescript/bin/tsc'),
  ...['-p', join(ROOT, 'tsconfig.build.json'), '--noEmitOnError'],
  ...(process.stdout.isTTY ? ['--pretty'] : []),
];

/** The environment of Inlet: a data folder that may be deleted at any time, and webhooks to receivers on this machine. */
const ENVIRONMENT = {
  ...process.env,
  INLET_DATA_DIR: process.env['INLET_DATA_DIR'] || '.inlet-dev',
  INLET_WEBHOOK_ALLOW_HTTP: process.env['INLET_WEBHOOK_ALLOW_HTTP'] || 'true',
  INLET_WEBHOOK_ALLOW_NETWORKS: process.env['INLET_WEBHOOK_ALLOW_NETWORKS'] || '127.0.0.1,::1',
};

const formatLine = pretty.prettyFactory({
  singleLine: true,
  colorize: process.stdout.isTTY === true && !process.env['NO_COLOR'],
  translateTime: 'SYS:HH:MM:ss',
  // Of the start: longer than all the rest.
  ignore: 'pid,version,settings',
});

const stopping = new AbortController();

/** The compiler while it runs. @type {import('node:child_process').ChildProcess | undefined} */
let compiler;

/** Inlet while it runs. @type {{ stop: () => void, ended: Promise<void> } | undefined} */
let inlet;

/** A second signal is passed on as well: Inlet stops at once then. */
function stop() {
  stopping.abort();
  compiler?.kill();
  inlet?.stop();
}

/** @param {string} text */
function say(text) {
  process.stdout.write(`[dev] ${text}\n`);
}

/**
 * Reads when each source file was changed.
 * @returns {Map<string, string>} by path
 */
function readSources() {
  /** @type {Map<string, string>} */
  const found = new Map();
  /** @param {string} path */
  const read = (path) => {
    const { mtimeMs, size } = statSync(path);
    found.set(relative(ROOT, path), `${mtimeMs} ${size}`);
  };
  for (const source of SOURCES.map((name) => join(ROOT, name))) {
    try {
      if (!statSync(source).isDirectory()) read(source);
      else {
        const entries = readdirSync(source, { recursive: true, withFileTypes: true });
        for (const { name, parentPath } of entries.filter((entry) => entry.isFile()))
          if (SOURCE_FILE.test(name)) read(join(parentPath, name));
      }
    } catch (error) {
      // Deleted or replaced at this moment: the next reading tells.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error;
    }
  }
  return found;
}

/**
 * @param {Map<string, string>} before
 * @param {Map<string, string>} after
 * @returns {string[]} the paths of files that were added, changed or removed
 */
function changes(before, after) {
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );
}

/**
 * Waits until the sources differ from those that were built, and no file changes any more: saving many is one change.
 * @param {Map<string, string>} built
 */
async function changedSources(built) {
  let last = built;
  for (;;) {
    const now = readSources();
    if (changes(built, now).length > 0 && changes(last, now).length === 0) return now;
    last = now;
    await delay(POLL_MS, undefined, { signal: stopping.signal });
  }
}

/** @returns {Promise<boolean>} whether there were no errors; the compiler prints them */
async function build() {
  compiler = spawn(process.execPath, TSC, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(compiler, 'close');
  compiler = undefined;
  return code === 0;
}

function startInlet() {
  const child = spawn(process.execPath, [join(ROOT, 'dist/cli.js'), 'serve'], {
    cwd: ROOT,
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let isStopped = false;
  const started = {
    stop() {
      isStopped = true;
      child.kill('SIGTERM');
    },
    ended: once(child, 'close').then(([code, signal]) => {
      inlet = undefined;
      if (!isStopped && !stopping.signal.aborted)
        say(`Inlet exited with ${signal ?? code}. It starts again when a source changes.`);
    }),
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    process.stdout.write(line.startsWith('{') ? formatLine(line) : `${line}\n`);
  });
  inlet = started;
}

/** Resolves when the process is gone: the embedded Postgres of the next one needs the same folder. */
async function stopInlet() {
  inlet?.stop();
  await inlet?.ended;
}

async function run() {
  say(`Data folder: ${ENVIRONMENT.INLET_DATA_DIR}. "npm run seed" fills it, Ctrl-C shuts down.`);
  /** @type {Map<string, string>} */
  let built = new Map();
  for (;;) {
    const sources = await changedSources(built);
    const [first, ...others] = changes(built, sources);
    const what = `${first}${others.length > 0 ? ` and ${others.length} more` : ''} changed`;
    say(built.size > 0 ? `${what}, building.` : 'Building.');
    built = sources;
    if (!(await build())) {
      if (stopping.signal.aborted) return;
      say(inlet ? 'The last good build keeps running.' : 'Inlet starts when the sources compile.');
    } else if (changes(built, readSources()).length === 0) {
      await stopInlet();
      if (stopping.signal.aborted) return;
      startInlet();
    }
  }
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, stop);
// The reader of the output is gone.
process.stdout.on('error', () => stopping.signal.aborted || stop());
// A signal to npm may end at the shell between npm and this process. Both are gone then.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent && !stopping.signal.aborted) stop();
}, PARENT_CHECK_MS).unref();

try {
  await run();
} catch (error) {
  if (!stopping.signal.aborted) throw error;
} finally {
  await stopInlet();
}
