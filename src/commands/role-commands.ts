/**
 * The commands that run a role until a signal comes, and `inlet migrate`. They are the whole process: they handle its
 * signals and end it.
 */
import type { Command } from 'commander';
import type { Logger } from 'pino';
import type { Running } from '../closing.ts';
import type { Config } from '../config.ts';
import { describeConfig, readConfig } from '../config.ts';
import { OperatorError } from '../errors.ts';
import { EXIT } from '../exit.ts';
import type { RuntimeConfig } from '../runtime.ts';
import type { Tracing } from '../telemetry/tracing/types.ts';
import { startTracing } from '../telemetry/tracing.ts';
import { VERSION } from '../version.ts';
import type { Terminal } from './terminal.ts';

/** After a stop has begun, a second signal within this time is the same key press: npm and the terminal both send one. */
const SAME_SIGNAL_MS = 1_000;

/** A stop that hasn't ended after this many milliseconds is cut off; what was acknowledged is safe in the queue. */
const STOP_TIMEOUT_MS = 28_000;

/** How often it is looked whether npm is still there, in milliseconds. */
const PARENT_CHECK_MS = 1_000;

export function addRoleCommands(program: Command, { env }: Pick<Terminal, 'env'>): void {
  program
    .command('serve')
    .description(
      'run everything in this process: an embedded Postgres unless DATABASE_URL is set, migrations, API and worker',
    )
    .action(async () => {
      const { serve } = await import('./serve.ts');
      await run('serve', env, serve);
    });

  program
    .command('api')
    .description('run the API alone')
    .action(async () => {
      const [{ startApi }, { fitConnections }] = await Promise.all([
        import('../roles/api.ts'),
        import('../connections.ts'),
      ]);
      await run('api', env, async (config, log, stopping, tracing) => {
        const fitted = await fitConnections(withDatabase(config, 'api'), ['api'], log);
        return startApi(fitted, config.apiKeys ?? [], log, stopping, { tracing });
      });
    });

  program
    .command('worker')
    .description('run a worker alone')
    .action(async () => {
      const [{ startWorker }, { fitConnections }] = await Promise.all([
        import('../roles/worker.ts'),
        import('../connections.ts'),
      ]);
      await run('worker', env, async (config, log, stopping, tracing) => {
        const fitted = await fitConnections(withDatabase(config, 'worker'), ['worker'], log);
        return startWorker(fitted, log, config.workerPort, stopping, { tracing });
      });
    });

  program
    .command('migrate')
    .description('apply migrations to the database and exit')
    .action(async () => {
      const { runMigrations } = await import('../runtime.ts');
      const { createLog } = await import('../telemetry.ts');
      const config = readConfig(env);
      const log = createLog(config.logLevel);
      const applied = await runMigrations(withDatabase(config, 'migrate'), log);
      log.info({ applied }, applied > 0 ? 'the schema is up to date now' : 'the schema was up to date');
    });
}

/** Runs a role until a signal comes. */
async function run(
  role: 'serve' | 'api' | 'worker',
  env: Terminal['env'],
  start: (
    config: Config,
    log: Logger,
    stopping: AbortSignal,
    tracing: Tracing | undefined,
  ) => Promise<Running>,
): Promise<void> {
  const { createLog } = await import('../telemetry.ts');
  const config = readConfig(env);
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
  const started = checked(config).then(() => start(config, log, stopping.signal, tracing));
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

async function checked({ redisUrl }: Config): Promise<void> {
  if (redisUrl === undefined) return;
  const { requireRedisUrl } = await import('../queue/redis-url.ts');
  await requireRedisUrl(redisUrl);
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
