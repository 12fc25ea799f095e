/**
 * A task of the queue: delivers what is due to one endpoint. Postgres says what that is. A task is exclusive to one worker
 * by the queue's lock, so nothing is written before an attempt: a worker that is killed has changed nothing, and what it
 * had sent goes out once more.
 */
import type { Turns } from '../domain/turns.ts';
import type { WebhookEvent } from '../domain/webhook-body.ts';
import { webhookBody } from '../domain/webhook-body.ts';
import { webhookHeaders } from '../domain/webhook-signature.ts';
import type { TaskHandler } from '../queue/queue.ts';
import { HandedBackError } from '../queue/queue.ts';
import type { DeliveryTarget, DueDelivery, DuePage } from '../store/webhook-due.ts';
import type { ErrorReporter, Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import type { MadeAttempt } from './conclude.ts';
import { conclude } from './conclude.ts';
import { InHand } from './in-hand.ts';
import type { Outcome } from './outcome-writer.ts';
import { Pace } from './pace.ts';
import type { Send } from './send.ts';
import { waitOut } from './wait-out.ts';

/** How long a task may go on before it stands in line again, so that all endpoints have their turn, in milliseconds. */
const SLICE_MS = 30_000;

/** How long a page may be used, in milliseconds: then it is looked again whether the endpoint is still as it was. */
const PAGE_MS = 2_000;

/** Most deliveries of a page, and most bytes of their events: a hundred tasks may each have one in memory. */
const PAGE_DELIVERIES = 100;
const PAGE_BYTES = 256 * 1024;

/** Deliveries that have been sent and whose outcome isn't kept yet, beside those being sent. */
const MAX_UNKEPT = 100;

/** How often it is looked for further deliveries while the last ones are being sent, in milliseconds. */
const LOOK_MS = 1_000;

/** Reads what is to be delivered. @throws as `Database.query` */
interface DeliveryReads {
  due(
    endpointId: string,
    inHand: readonly string[],
    limit: number,
    maxBytes: number,
  ): Promise<DuePage | undefined>;
  event(target: DeliveryTarget, webhookId: string): Promise<WebhookEvent | undefined>;
  /** Drops what is pending and isn't asked for any more: a store that was open when the endpoint changed may have written it. */
  dropUnwanted(endpointId: string): Promise<void>;
}

export interface DeliveryOptions {
  readonly reads: DeliveryReads;
  readonly send: Send;
  /** Keeps an outcome. */
  readonly keep: (outcome: Outcome) => Promise<void>;
  /** Where an object can be read. */
  readonly objectUrl: (namespace: string, id: string) => string;
  /** Most attempts at one time for each endpoint. */
  readonly concurrency: number;
  /** After how many milliseconds each further attempt is made. */
  readonly schedule: readonly number[];
  /** Shared by all tasks: few events that are large may be in memory at one time. */
  readonly large: Turns;
  /** Resolves when an attempt may be begun: storing comes first. */
  readonly turn: () => Promise<void>;
  /** Breaks off attempts that are being made. */
  readonly breakOff: AbortSignal;
  /** Told of each attempt before its outcome is kept. */
  readonly onAttempt: (made: MadeAttempt, event: WebhookEvent, outcome: Outcome) => void;
  readonly log: Log;
}

/** Makes the handler of tasks, whose ids are those of endpoints. */
export function deliveryHandler(options: DeliveryOptions): TaskHandler {
  const reportWait = errorReporter(options.log, 'could not read what is to be delivered yet');
  return (endpointId, stopping) => new DeliveryRun(options, reportWait, endpointId, stopping).run();
}

class DeliveryRun {
  readonly #options: DeliveryOptions;
  readonly #reportWait: ErrorReporter;
  readonly #endpointId: string;
  readonly #stopping: AbortSignal;
  readonly #inHand: InHand;
  readonly #pace = new Pace();
  readonly #ends = performance.now() + SLICE_MS;
  /** Whether the endpoint wants nothing more, for now or at all. */
  #isClosed = false;
  #mayBeFailing = false;

  constructor(
    options: DeliveryOptions,
    reportWait: ErrorReporter,
    endpointId: string,
    stopping: AbortSignal,
  ) {
    this.#options = options;
    this.#reportWait = reportWait;
    this.#endpointId = endpointId;
    this.#stopping = stopping;
    this.#inHand = new InHand(options.concurrency, options.concurrency + MAX_UNKEPT);
  }

  /**
   * Resolves when there is nothing more to do.
   * @throws HandedBackError where there is, and the process stops or others are to have their turn; whatever has kept an
   *   outcome from being kept
   */
  async run(): Promise<void> {
    let isDone = false;
    try {
      while (!isDone && this.#goesOn()) isDone = await this.#sendPage();
    } finally {
      await this.#inHand.settled();
    }
    this.#inHand.throwFailure();
    if (!isDone && !this.#isClosed) throw new HandedBackError('more is due, and others have their turn');
  }

  #goesOn(): boolean {
    const isOver = this.#stopping.aborted || this.#isClosed || this.#inHand.hasFailed;
    return !isOver && performance.now() < this.#ends;
  }

  /** @returns whether there is nothing more to do */
  async #sendPage(): Promise<boolean> {
    const page = await this.#readPage();
    if (!page) return true;
    const { target, deliveries } = page;
    if (target.secrets.length === 0)
      throw new Error(`the webhook endpoint ${target.id} has no secret to sign with`);
    this.#mayBeFailing ||= target.isFailing;
    if (deliveries.length === 0) {
      if (this.#inHand.isEmpty) return true;
      await this.#inHand.change(LOOK_MS, this.#stopping);
    }
    const until = Math.min(this.#ends, performance.now() + PAGE_MS);
    for (const due of deliveries) {
      if (!(await this.#hasTurn(target, until))) break;
      this.#pace.take(target.rate);
      this.#inHand.start(due.webhookId, () => this.#send(target, due), this.#options.keep);
    }
    return false;
  }

  async #readPage(): Promise<DuePage | undefined> {
    const { reads } = this.#options;
    const id = this.#endpointId;
    const due = () => reads.due(id, this.#inHand.ids, PAGE_DELIVERIES, PAGE_BYTES);
    const read = async () => {
      const page = await due();
      if (!page?.hasUnwanted) return page;
      await reads.dropUnwanted(id);
      return due();
    };
    return waitOut(read, this.#reportWait, this.#stopping);
  }

  /** Waits until one more may be sent. @returns false where none may any more, or the page has become old before */
  async #hasTurn({ rate }: DeliveryTarget, until: number): Promise<boolean> {
    while (this.#goesOn()) {
      const { hasRoom } = this.#inHand;
      const leftMs = until - performance.now();
      const paceMs = rate === undefined ? 0 : this.#pace.waitMs();
      if (leftMs <= 0) return false;
      if (hasRoom && paceMs === 0) return true;
      await this.#inHand.change(hasRoom ? Math.min(paceMs, leftMs) : leftMs, this.#stopping);
    }
    return false;
  }

  async #send(target: DeliveryTarget, due: DueDelivery): Promise<Outcome | undefined> {
    if (due.event) return this.#attempt(target, due, due.event);
    return this.#options.large.take(async () => {
      const event = await this.#options.reads.event(target, due.webhookId);
      return event && this.#attempt(target, due, event);
    });
  }

  async #attempt(
    target: DeliveryTarget,
    due: DueDelivery,
    event: WebhookEvent,
  ): Promise<Outcome | undefined> {
    const { send, objectUrl, breakOff, schedule, onAttempt } = this.#options;
    await this.#options.turn();
    // The endpoint may have been closed meanwhile, by the answer to another.
    if (!this.#goesOn()) return undefined;
    const begun = Date.now();
    const started = performance.now();
    const body = Buffer.from(webhookBody(event, objectUrl(event.namespace, event.objectId)));
    const headers = webhookHeaders(due.webhookId, Math.floor(begun / 1_000), body, target.secrets);
    const attempt = await send({ url: target.url, headers, body }, breakOff);
    if (!attempt) return undefined;
    const durationMs = Math.round(performance.now() - started);
    const made = { endpointId: target.id, ...due, attempt, begun, durationMs };
    const outcome = conclude(made, schedule, this.#mayBeFailing);
    this.#mayBeFailing = attempt.outcome !== 'succeeded';
    if (outcome.isGone || outcome.pauseMs > 0) this.#isClosed = true;
    onAttempt(made, event, outcome);
    return outcome;
  }
}
