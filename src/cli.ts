#!/usr/bin/env node
/** The inlet command: arguments, roles, signals; the only place that ends the process. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import type { Logger } from 'pino';
import type { Running } from './closing.ts';
import { Closing } from './closing.ts';
import type { Config } from './config.ts';
import { describeConfig, readConfig, SETTINGS } from './config.ts';
import { OperatorError } from './errors.ts';
import type { LocalKey } from './local-key.ts';
import { localKey } from './local-key.ts';
import type { RuntimeConfig } from './runtime.ts';
import { runMigrations, startApi, startWorker } from './runtime.ts';
import { createLog } from './telemetry.ts';

/** Exit codes: done, failed, wrong usage. */
const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** After a stop has begun, a second signal within this time is the same key press: npm and the terminal both send one. */
const SAME_SIGNAL_MS = 1_000;

/** A stop that hasn't ended after this many milliseconds is cut off; what was acknowledged is safe in the queue. */
const STOP_TIMEOUT_MS = 28_000;

const program = new Command('inlet')
  .description(
    'Self-hosted ingestion API: takes JSON objects, answers at once, and upserts them into Postgres.',
  )
  .version(packageVersion(), '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand(false)
  .exitOverride()
  .addHelpText('after', settingsHelp());

program
  .command('serve')
  .description(
    'run everything in this process: an embedded Postgres unless DATABASE_URL is set, migrations, API and worker',
  )
  .action(() => run(serve));

program
  .command('api')
  .description('run the API alone')
  .action(() => run(async (config, log) => startApi(withDatabase(config, 'api'), requireKeys(config), log)));

program
  .command('worker')
  .description('run a worker alone')
  .action(() => run((config, log) => startWorker(withDatabase(config, 'worker'), log, config.workerPort)));

program
  .command('migrate')
  .description('apply migrations to the database and exit')
  .action(async () => {
    const config = readConfig(process.env);
    const log = createLog(config.logLevel);
    const applied = await runMigrations(withDatabase(config, 'migrate'), log);
    log.info({ applied }, applied > 0 ? 'the schema is up to date now' : 'the schema was up to date');
  });

try {
  await program.parseAsync();
} catch (error) {
  process.exit(report(error));
}

async function serve(config: Config, log: Logger): Promise<Running> {
  const closing = new Closing(log);
  try {
    const databaseUrl = config.databaseUrl ?? (await embeddedDatabase(config, log, closing));
    const complete: RuntimeConfig = { ...config, databaseUrl };
    await runMigrations(complete, log);
    const worker = await startWorker(complete, log, undefined);
    closing.add('worker', () => worker.close(), 15_000);
    const made = config.apiKeys ? undefined : await localKey(config.dataDir);
    const api = await startApi(complete, config.apiKeys ?? (made ? [made.key] : []), log);
    closing.add('API', () => api.close(), 15_000);
    if (made) introduce(made, api.url);
    return closing;
  } catch (error) {
    await closing.close();
    throw error;
  }
}

/** Loaded only where it is needed: the package is optional, and left out of the image. */
async function embeddedDatabase({ dataDir }: Config, log: Logger, closing: Closing): Promise<string> {
  const { startEmbeddedPostgres } = await import('./store/embedded.ts');
  const embedded = await startEmbeddedPostgres({ dataDir, log });
  closing.add('embedded Postgres', () => embedded.stop(), 25_000);
  return embedded.url;
}

/** Shows the key once, with a command that works when pasted. Not through the log, which must never hold a key. */
function introduce({ key, path, isNew }: LocalKey, url: string): void {
  if (!isNew) {
    process.stdout.write(`\n  The API key is in ${path}\n\n`);
    return;
  }
  process.stdout.write(
    `\n  An API key was made and is kept in ${path}. It is shown only now:\n\n    ${key}\n\n` +
      `  Try it:\n\n` +
      `    curl ${url}/v1/data/products \\\n` +
      `      -H 'Authorization: Bearer ${key}' \\\n` +
      `      -H 'Content-Type: application/json' \\\n` +
      `      -d '{"data": {"id": "product_12345", "name": "Chair", "price": 49.90}}'\n\n`,
  );
}

/** Runs a role until a signal comes. */
async function run(start: (config: Config, log: Logger) => Promise<Running>): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  log.info({ version: packageVersion(), settings: describeConfig(config) }, 'inlet starts');
  let stoppingSince: number | undefined;
  const started = start(config, log);
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince < SAME_SIGNAL_MS) return;
      log.warn({ signal }, 'a second signal: stopping at once');
      process.exit(EXIT.failed);
    }
    stoppingSince = performance.now();
    log.info({ signal }, 'stopping: finishing what is in hand');
    setTimeout(() => {
      log.warn('stopping took too long and is cut off: what was acknowledged is safe in the queue');
      process.exit(EXIT.done);
    }, STOP_TIMEOUT_MS).unref();
    // A start that fails is reported below.
    void started
      .then((running) => running.close())
      .then(() => {
        log.info('stopped');
        process.exit(EXIT.done);
      })
      .catch(() => undefined);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  await started;
}

function withDatabase(config: Config, command: string): RuntimeConfig {
  const { databaseUrl } = config;
  if (databaseUrl === undefined) {
    throw new OperatorError(
      `DATABASE_URL is not set, and "inlet ${command}" needs it. (The embedded Postgres comes with "inlet serve" only.)`,
    );
  }
  return { ...config, databaseUrl };
}

function requireKeys({ apiKeys }: Config): readonly string[] {
  if (apiKeys) return apiKeys;
  throw new OperatorError('INLET_API_KEYS is not set: without a key nobody could use the API.');
}

/** Tells what went wrong, and which exit code that is. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version come as errors too; commander has printed whatever there is to say.
    return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
  if (error instanceof OperatorError) process.stderr.write(`inlet: ${error.message}\n`);
  else process.stderr.write(`inlet: ${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.failed;
}

function settingsHelp(): string {
  const rows = Object.values(SETTINGS).map(({ variable, default: value, description }) => {
    const shown = value === undefined ? '' : ` (default ${value})`;
    return `  ${variable.padEnd(28)} ${description.replaceAll('`', '')}${shown}`;
  });
  return `\nSettings, as environment variables:\n${rows.join('\n')}\n`;
}

function packageVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
