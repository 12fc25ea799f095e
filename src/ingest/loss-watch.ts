/**
 * Notices that acknowledged writes may be lost, and says so until an operator has accepted it. Once a second it compares what
 * the queue keeps of itself with what the database knows of it; no acknowledgement ever waits for that.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { total } from '../queue/lane.ts';
import type { BatchQueue, QueueMarks, StampRange } from '../queue/queue.ts';
import { ForeignQueueError, QueueUnavailableError } from '../queue/queue.ts';
import type { Database } from '../store/database.ts';
import type { KnownQueue, Loss, SeenQueue } from '../store/losses.ts';
import { lossesOf, nameRequests, noteQueue, notStored, openLosses, readKnownQueue } from '../store/losses.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';

const INTERVAL_MS = 1_000;

/** How long a start waits for the queue, in milliseconds. */
const CONNECT_MS = 1_000;

/** How long the database is taken to be as it was where nothing has happened, in milliseconds. */
const IDLE_INTERVAL_MS = 5_000;

/** Most of them in a line of the log. */
const MOST_LOGGED = 1_000;

const MARKS = ['acknowledged', 'drained', 'stored'] as const;

/** Most requests of a process that are named with a loss. */
const MOST_NAMED = 10_000;

export interface LossWatchOptions {
  /** That of the queue that this process uses. */
  readonly queueId: string;
  readonly database: Database;
  readonly queue: Pick<BatchQueue, 'continuity' | 'load'>;
  readonly log: Log;
}

export class LossWatch {
  readonly #options: LossWatchOptions;
  readonly #report: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** What was told to the database. */
  #told = { acknowledged: 0, drained: 0, stored: 0, born: undefined as number | undefined, at: 0 };
  #hasStored = false;
  #before: QueueMarks | undefined;
  /** What was noticed here and couldn't be told to the database yet. */
  #pending: Loss[] = [];
  #gapsTaken = 0;
  #open: readonly Loss[] = [];
  readonly #toldOf = new Set<string>();
  /** Up to where this process has named its requests, by loss. */
  readonly #named = new Map<string, number>();

  constructor(options: LossWatchOptions) {
    this.#options = options;
    this.#report = errorReporter(options.log, 'could not look for lost writes: it is tried again');
  }

  /** Losses that no operator has accepted, as far as this process knows. */
  get losses(): readonly Loss[] {
    return [...this.#open, ...this.#pending];
  }

  /** What to tell an operator, a line each. */
  get warnings(): readonly string[] {
    return this.losses.map(describeLoss);
  }

  /** A write was stored. */
  stored(): void {
    this.#hasStored = true;
  }

  /**
   * Looks for the first time, and from then on once a second.
   * @throws ForeignQueueError where the queue is another Inlet's
   */
  async start(): Promise<void> {
    const deadline = performance.now() + CONNECT_MS;
    while (!(await this.#begin(performance.now() > deadline))) await delay(20);
    this.#schedule();
  }

  /** @returns whether there is nothing to wait for */
  async #begin(isLast: boolean): Promise<boolean> {
    try {
      await this.#look();
      return true;
    } catch (error) {
      if (error instanceof ForeignQueueError) throw error;
      // The first connection takes a moment.
      if (error instanceof QueueUnavailableError && !isLast) return false;
      this.#report(error as Error);
      return true;
    }
  }

  /** Looks for the last time, so that the database knows of all that was acknowledged. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    // Where that can't be, less is known after the next start; nothing else depends on it.
    await this.#look().catch(() => undefined);
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      void this.#look()
        .catch(this.#report)
        .finally(() => this.#schedule());
    }, INTERVAL_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const { continuity } = this.#options.queue;
    // Before the queue is looked at, which always knows more of what was acknowledged.
    const read = this.#isDue() ? await this.#readKnown().catch((error: Error) => error) : undefined;
    if (read instanceof ForeignQueueError) throw read;
    const known = read instanceof Error ? undefined : read;
    const { acknowledged } = continuity;
    const hasStored = this.#hasStored;
    // What is stored from now on may have a greater stamp than the marks that are read.
    this.#hasStored = false;
    try {
      const marks = await continuity.marks();
      const before = this.#before;
      this.#before = marks;
      this.#notice(marks, before, known);
      if (read instanceof Error) throw read;
      await this.#tellDatabase(marks, before, known, { acknowledged, hasStored });
    } catch (error) {
      this.#hasStored ||= hasStored;
      throw error;
    }
  }

  /** Whether there is something to tell the database, or to ask it. */
  #isDue(): boolean {
    const { at, acknowledged } = this.#told;
    const isNew = this.#hasStored || this.#options.queue.continuity.acknowledged > acknowledged;
    return isNew || at === 0 || performance.now() - at >= IDLE_INTERVAL_MS;
  }

  async #tellDatabase(
    marks: QueueMarks,
    before: QueueMarks | undefined,
    known: KnownQueue | undefined,
    since: { readonly acknowledged: number; readonly hasStored: boolean },
  ): Promise<void> {
    const { database, queue } = this.#options;
    const { continuity } = queue;
    const seen = await this.#seen(marks, before, since);
    const { born, at: _at, ...told } = this.#told;
    const isNew = MARKS.some((mark) => seen[mark] > told[mark]) || marks.born !== born;
    if (!isNew && seen.losses.length === 0) {
      if (!known) return;
      // Somebody may have accepted losses, or put an older copy of the database in its place.
      if (lossesOf(known, seen).length === 0) {
        this.#told = { ...this.#told, at: performance.now() };
        this.#open = await this.#openLosses();
        return;
      }
    }
    // Before the database, and only after they were compared: so a queue that has less is always an older one.
    if (known && seen.acknowledged > marks.told) await continuity.mark('told', seen.acknowledged);
    const noted = await noteQueue(database, seen);
    const drained = Math.max(seen.drained, noted.drained ?? 0);
    const acknowledged = Math.max(seen.acknowledged, noted.acknowledged ?? 0);
    this.#told = { ...seen, acknowledged, drained, born: marks.born, at: performance.now() };
    this.#pending = this.#pending.slice(seen.losses.length);
    continuity.knows(acknowledged);
    // Only now: what the queue says is stored the database always knows.
    if (seen.stored > 0) await continuity.mark('stored', seen.stored);
    this.#open = await this.#openLosses();
  }

  /** @throws ForeignQueueError where the database says that its queue is another one */
  async #readKnown(): Promise<KnownQueue> {
    const { database, queue, queueId, log } = this.#options;
    const known = await readKnownQueue(database);
    if (known.id === queueId) {
      queue.continuity.disown(undefined);
      queue.continuity.knows(known.acknowledged ?? 0);
      return known;
    }
    const reason = `REDIS_URL and DATABASE_URL are of two Inlets: the queue has the id ${queueId}, and the database that of another one, ${known.id}`;
    const isFirst = queue.continuity.disowned === undefined;
    queue.continuity.disown(reason);
    const requestIds = queue.continuity.remembered({ from: 0, to: Number.MAX_SAFE_INTEGER });
    if (isFirst && this.#told.at === 0 && requestIds.length > 0)
      log.error(
        { requests: requestIds.length, requestIds: requestIds.slice(0, MOST_LOGGED) },
        'acknowledged writes are in the queue of another Inlet: have them sent again',
      );
    throw new ForeignQueueError(reason);
  }

  /** What shows to this process alone. */
  #notice(marks: QueueMarks, before: QueueMarks | undefined, known: KnownQueue | undefined): void {
    const { continuity } = this.#options.queue;
    const gaps = continuity.gaps.slice(this.#gapsTaken);
    this.#gapsTaken += gaps.length;
    const losses = gaps.map((gap): Loss => ({ cause: 'older queue', ...gap }));
    const lost = { from: this.#told.drained, to: marks.born };
    if (marks.born !== before?.born && continuity.remembered(lost).length > 0)
      losses.push({ cause: 'queue emptied', ...lost });
    const acknowledged = known?.acknowledged ?? 0;
    if (acknowledged > marks.told) losses.push({ cause: 'older queue', from: marks.told, to: acknowledged });
    for (const loss of losses) this.#tell(loss);
    this.#pending.push(...losses);
  }

  /** Says it once, whoever has noticed it. */
  #tell(loss: Loss): void {
    const kind = `${loss.cause} ${loss.to}`;
    if (this.#toldOf.has(kind)) return;
    this.#toldOf.add(kind);
    this.#options.log.error({ cause: loss.cause, ...inTimes(loss) }, describeLoss(loss));
  }

  async #seen(
    marks: QueueMarks,
    before: QueueMarks | undefined,
    { acknowledged, hasStored }: { readonly acknowledged: number; readonly hasStored: boolean },
  ): Promise<SeenQueue> {
    const { queue } = this.#options;
    let { drained } = this.#told;
    // What had the stamp of a look before this one is in the queue by now, or done.
    const last = before?.last ?? 0;
    if (last > drained && acknowledged > drained && total((await queue.load()).depth) === 0) drained = last;
    const stored = hasStored ? marks.last : 0;
    const told = this.#told.acknowledged;
    return { marks, acknowledged, told, drained, stored, losses: [...this.#pending] };
  }

  /** Reads the losses, and names those requests of them that this process remembers. */
  async #openLosses(): Promise<readonly Loss[]> {
    const { database, queue } = this.#options;
    const open = await openLosses(database);
    for (const loss of open) {
      this.#tell(loss);
      if ((this.#named.get(loss.id) ?? 0) >= loss.to) continue;
      const missing = await this.#missing(queue.continuity.remembered(loss));
      if (missing.length > 0) await nameRequests(database, loss.id, missing.slice(0, MOST_NAMED));
      this.#named.set(loss.id, loss.to);
    }
    return open;
  }

  async #missing(requestIds: readonly string[]): Promise<string[]> {
    const missing: string[] = [];
    for (let from = 0; from < requestIds.length && missing.length < MOST_NAMED; from += 1_000) {
      missing.push(...(await notStored(this.#options.database, requestIds.slice(from, from + 1_000))));
    }
    return missing;
  }
}

const CAUSES = {
  'queue emptied': 'the queue was emptied, or is a new one',
  'older queue': 'the queue came back as an older copy of itself',
  'older database': 'the database is an older copy of itself',
} as const;

/** A loss in words. */
export function describeLoss(loss: Loss): string {
  const { from, to } = inTimes(loss);
  const when = from === undefined ? `before ${to}` : `between ${from} and ${to}`;
  return `acknowledged writes ${when} may be lost: ${CAUSES[loss.cause]} (see "inlet queue losses")`;
}

/** Stamps are times of the queue's clock where that has not stepped. */
export function inTimes({ from, to }: StampRange): {
  readonly from: string | undefined;
  readonly to: string;
} {
  const time = (stamp: number): string => new Date(stamp / 1_000).toISOString();
  return { from: from === 0 ? undefined : time(from), to: time(to) };
}
