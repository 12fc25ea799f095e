/** What a worker has for webhooks: it takes tasks, delivers, and looks for what is due. */
import { setMaxListeners } from 'node:events';
import { objectUrl } from '../domain/object-url.ts';
import { RETRY_SCHEDULE } from '../domain/retry-schedule.ts';
import { Turns } from '../domain/turns.ts';
import { Wake } from '../queue/wake.ts';
import type { QueueConfig } from '../runtime.ts';
import { openDatabase, queueProvider } from '../runtime.ts';
import { localUrl } from '../startup.ts';
import type { Database } from '../store/database.ts';
import { findDueEndpoints, readDelivery, readDue } from '../store/webhook-due.ts';
import { dropUnwanted } from '../store/webhook-outgoing.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { WebhookObserver } from '../telemetry/webhook-metrics.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import { VERSION } from '../version.ts';
import { createAddressCheck } from '../webhooks/addresses.ts';
import { deliveryHandler } from '../webhooks/deliver.ts';
import { GentleStart } from '../webhooks/gentle-start.ts';
import { keepOutcomes } from '../webhooks/keep-outcomes.ts';
import type { Outcome } from '../webhooks/outcome-writer.ts';
import { OutcomeWriter } from '../webhooks/outcome-writer.ts';
import { attemptReporter, reportDisabled } from '../webhooks/report.ts';
import type { Resolve } from '../webhooks/resolve.ts';
import { createResolver } from '../webhooks/resolve.ts';
import { createSender } from '../webhooks/send.ts';
import { keepSweeping } from '../webhooks/sweep.ts';

/** Endpoints that one worker delivers to at the same time: their tasks do little but wait. */
const TASKS = 100;

/** Large events that may be in memory at one time. */
const LARGE_EVENTS = 4;

/** How long attempts in hand may go on when the worker stops, and what comes after that, in milliseconds. */
const GRACE_MS = 7_000;
const LAST_OUTCOMES_MS = 1_000;

/** What is to be other than usual. */
export interface WebhookParts {
  /** After how many milliseconds each further attempt is made. */
  readonly schedule?: readonly number[];
  readonly resolve?: Resolve;
  /** Certificates of authorities that receivers are trusted by, PEM. */
  readonly ca?: string;
  /** How long an attempt may take, in milliseconds. */
  readonly timeoutMs?: number;
  /** How often to look for what is due, in milliseconds. */
  readonly sweepMs?: number;
  /** How clients reach this server, where it is known better than from the settings. */
  readonly publicUrl?: () => string | undefined;
}

/** Running webhooks. */
export interface RunningWebhooks {
  /** Tells that endpoints have got something to be delivered. */
  readonly wake: (endpointIds: readonly string[]) => void;
  /** Starts nothing more, and waits for attempts in hand. May be called again. */
  close(): Promise<void>;
}

/** Starts delivering. */
export function startWebhooks(
  config: QueueConfig,
  log: Log,
  metrics: Metrics,
  parts: WebhookParts = {},
): RunningWebhooks {
  const breakOff = new AbortController();
  // As many as attempts are being made.
  setMaxListeners(0, breakOff.signal);
  // Of its own, so that webhooks never keep batches waiting for a connection.
  const database = openDatabase(config, log, { pool: 'webhooks', queryTimeoutMs: 30_000 });
  metrics.pool('webhooks', () => database.pool);
  const sender = createSender({
    isAllowed: createAddressCheck(config.webhookAllowNetworks),
    allowHttp: config.webhookAllowHttp,
    resolve: parts.resolve ?? createResolver(),
    ca: parts.ca,
    userAgent: `Inlet/${VERSION}`,
    ...(parts.timeoutMs === undefined ? {} : { timeoutMs: parts.timeoutMs }),
  });

  const provider = queueProvider(config, log, { queueName: 'inlet-webhooks' });
  const tasks = provider.openTasks();
  const reportWake = errorReporter(
    log,
    'could not put webhooks into the queue: it is tried again every second',
  );
  const wake = new Wake(tasks, reportWake);
  const sweep = keepSweeping(
    () => findDueEndpoints(database),
    (ids) => wake.add(ids),
    errorReporter(log, 'could not look for webhooks that are due: it is tried again every second'),
    parts.sweepMs,
  );
  const observer = metrics.webhooks(() => sweep.oldestMs());
  const keep = (outcomes: readonly Outcome[]) => keepAndTell(database, outcomes, observer, log);
  const outcomes = new OutcomeWriter(keep, log, breakOff.signal);

  const start = new GentleStart();
  const report = attemptReporter(log);
  const handler = deliveryHandler({
    reads: {
      due: (endpointId, inHand, limit, maxBytes) => readDue(database, endpointId, inHand, limit, maxBytes),
      event: (target, webhookId) => readDelivery(database, target, webhookId),
      dropUnwanted: (endpointId) => dropUnwanted(database, endpointId),
    },
    send: sender.send,
    keep: (outcome) => outcomes.write(outcome),
    objectUrl: (namespace, id) => objectUrl(publicUrl(config, parts), namespace, id),
    concurrency: config.webhookConcurrency,
    schedule: parts.schedule ?? RETRY_SCHEDULE,
    large: new Turns(LARGE_EVENTS),
    turn: () => start.turn(),
    breakOff: breakOff.signal,
    onAttempt(made, event, outcome) {
      observer.onAttempt(made.attempt.outcome, made.durationMs);
      report(made, event, outcome);
    },
    log,
  });
  const consumer = provider.consumeTasks(handler, { concurrency: TASKS });

  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    const timer = setTimeout(() => breakOff.abort(), GRACE_MS);
    await Promise.all([sweep.close(), consumer.close(GRACE_MS + LAST_OUTCOMES_MS)]);
    clearTimeout(timer);
    breakOff.abort();
    await Promise.all([sender.close(), wake.close()]);
    await Promise.all([tasks.close(), database.close()]);
  }
  return {
    wake: (endpointIds) => wake.add(endpointIds),
    close() {
      closed ??= close();
      return closed;
    },
  };
}

function publicUrl({ publicUrl, host, port }: QueueConfig, parts: WebhookParts): string {
  return parts.publicUrl?.() ?? publicUrl ?? localUrl(host, port);
}

/** Keeps outcomes, and tells of what is final only when it is kept. */
async function keepAndTell(
  database: Database,
  outcomes: readonly Outcome[],
  { onDone, onDisabled }: WebhookObserver,
  log: Log,
): Promise<void> {
  const disabled = await keepOutcomes(database, outcomes);
  for (const { delivery } of outcomes) if (delivery.status !== 'pending') onDone(delivery.status);
  for (const endpoint of disabled) {
    onDisabled(endpoint.reason);
    reportDisabled(log, endpoint);
  }
}
