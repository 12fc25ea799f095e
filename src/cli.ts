#!/usr/bin/env node
/**
 * The inlet command: arguments, roles, signals; the only place that ends the process. What only roles need is
 * loaded with them: that takes about half a second, which the short commands can do without.
 */
import { Command, CommanderError } from 'commander';
import type { Logger } from 'pino';
import type { Running } from './closing.ts';
import { addImportCommand, addRequestsCommand } from './commands/client-commands.ts';
import { addFailedCommand } from './commands/failed-command.ts';
import { addKeysCommand } from './commands/keys-command.ts';
import { addOpenApiCommand } from './commands/openapi.ts';
import { addWebhooksCommand } from './commands/webhooks-command.ts';
import { SETTINGS } from './config/settings.ts';
import type { Config } from './config.ts';
import { describeConfig, readConfig } from './config.ts';
import { OperatorError } from './errors.ts';
import { EXIT } from './exit.ts';
import type { RuntimeConfig } from './runtime.ts';
import type { Tracing } from './telemetry/tracing/types.ts';
import { startTracing } from './telemetry/tracing.ts';
import { VERSION } from './version.ts';

/** After a stop has begun, a second signal within this time is the same key press: npm and the terminal both send one. */
const SAME_SIGNAL_MS = 1_000;

/** A stop that hasn't ended after this many milliseconds is cut off; what was acknowledged is safe in the queue. */
const STOP_TIMEOUT_MS = 28_000;

/** How often it is looked whether npm is still there, in milliseconds. */
const PARENT_CHECK_MS = 1_000;

const program = new Command('inlet')
  .description(
    'Self-hosted ingestion API: takes JSON objects, answers at once, and upserts them into Postgres.',
  )
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand(false)
  .exitOverride()
  .addHelpText('after', settingsHelp());

program
  .command('serve')
  .description(
    'run everything in this process: an embedded Postgres unless DATABASE_URL is set, migrations, API and worker',
  )
  .action(async () => {
    const { serve } = await import('./commands/serve.ts');
    await run('serve', serve);
  });

program
  .command('api')
  .description('run the API alone')
  .action(async () => {
    const { startApi } = await import('./roles/api.ts');
    await run('api', async (config, log, stopping, tracing) =>
      startApi(withDatabase(config, 'api'), config.apiKeys ?? [], log, stopping, { tracing }),
    );
  });

program
  .command('worker')
  .description('run a worker alone')
  .action(async () => {
    const { startWorker } = await import('./roles/worker.ts');
    await run('worker', async (config, log, stopping, tracing) =>
      startWorker(withDatabase(config, 'worker'), log, config.workerPort, stopping, { tracing }),
    );
  });

program
  .command('migrate')
  .description('apply migrations to the database and exit')
  .action(async () => {
    const { runMigrations } = await import('./runtime.ts');
    const { createLog } = await import('./telemetry.ts');
    const config = readConfig(process.env);
    const log = createLog(config.logLevel);
    const applied = await runMigrations(withDatabase(config, 'migrate'), log);
    log.info({ applied }, applied > 0 ? 'the schema is up to date now' : 'the schema was up to date');
  });

addImportCommand(program);
addRequestsCommand(program);
addWebhooksCommand(program);
addFailedCommand(program);
addKeysCommand(program);
addOpenApiCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exit(report(error));
}

/** Runs a role until a signal comes. */
async function run(
  role: 'serve' | 'api' | 'worker',
  start: (
    config: Config,
    log: Logger,
    stopping: AbortSignal,
    tracing: Tracing | undefined,
  ) => Promise<Running>,
): Promise<void> {
  const { createLog } = await import('./telemetry.ts');
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  log.info({ version: VERSION, settings: describeConfig(config) }, 'inlet starts');
  // Node would print all that an error holds: rows and parameters too, where it comes from Postgres.
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'inlet ends: this is a bug');
    process.exit(EXIT.failed);
  });
  const tracing = await startTracing({ ...config, role, log });
  const stopping = new AbortController();
  let stoppingSince: number | undefined;
  const started = start(config, log, stopping.signal, tracing);
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince < SAME_SIGNAL_MS) return;
      log.warn({ signal }, 'a second signal: stopping at once');
      process.exit(EXIT.failed);
    }
    stoppingSince = performance.now();
    log.info({ signal }, 'stopping: finishing what is in hand');
    stopping.abort();
    setTimeout(() => {
      log.warn('stopping took too long and is cut off: what was acknowledged is safe in the queue');
      process.exit(EXIT.done);
    }, STOP_TIMEOUT_MS).unref();
    void started
      .then(
        (running) => running.close(),
        // It has closed what it had opened.
        () => undefined,
      )
      .then(() => tracing?.close())
      .then(() => {
        log.info('stopped');
        process.exit(EXIT.done);
      });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // The terminal was closed.
  process.on('SIGHUP', stop);
  stopWithNpm(stop);
  // Once it is to stop, that is reported by the stop.
  await started.catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
}

/**
 * Under `npm start` a shell stands between npm and this process, which signals sent to npm don't pass. Both are
 * gone then, and this process gets another parent.
 */
function stopWithNpm(stop: (signal: NodeJS.Signals) => void): void {
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop('SIGTERM');
  }, PARENT_CHECK_MS);
  timer.unref();
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
