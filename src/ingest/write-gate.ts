/**
 * Refuses writes while the queue is too full for them. Deletes and reads don't come by here. What is asked for
 * each request is ready then: it is made once a second, with the sample.
 */
import { ProblemError } from '../errors.ts';
import { total } from '../queue/lane.ts';
import type { BatchQueue, QueueLoad } from '../queue/queue.ts';
import type { Log } from '../telemetry.ts';
import type { DepthMarks } from './backpressure.ts';
import { Backpressure } from './backpressure.ts';
import { LoadSampler } from './load-sampler.ts';

const MIB = 1024 ** 2;

export class WriteGate {
  readonly #marks: DepthMarks;
  readonly #log: Log;
  readonly #backpressure: Backpressure;
  readonly #sampler: LoadSampler;
  #refusal: ProblemError | undefined;
  #refusingSince = 0;

  /** Watches the queue from now on. While it is away the last state stays. */
  constructor(queue: Pick<BatchQueue, 'load'>, marks: DepthMarks, log: Log) {
    this.#marks = marks;
    this.#log = log;
    this.#backpressure = new Backpressure(marks);
    this.#sampler = new LoadSampler(queue, (load) => this.#update(load));
  }

  /** What a write is to be answered with; undefined while writes are taken. */
  get refusal(): ProblemError | undefined {
    return this.#refusal;
  }

  /** For whoever operates this: why writes are refused; undefined while they are taken. */
  get warning(): string | undefined {
    const load = this.#sampler.latest;
    if (!this.#refusal) return undefined;
    return `the queue is full${load ? ` (${this.#inWords(load)})` : ''}: writes get 503 until it has drained, deletes and reads go on`;
  }

  /** The last sample of the queue's load; undefined while the queue does not answer. */
  get load(): QueueLoad | undefined {
    return this.#sampler.latest;
  }

  close(): void {
    this.#sampler.close();
  }

  #update(load: QueueLoad): void {
    const refused = this.#refusal !== undefined;
    this.#backpressure.update(load);
    const { refuses, retryAfterSeconds } = this.#backpressure;
    this.#refusal = refuses ? queueFull(retryAfterSeconds) : undefined;
    if (refuses && !refused) {
      this.#refusingSince = performance.now();
      this.#log.warn(this.#figures(load), 'the queue is full: writes get 503 until it has drained');
    } else if (refused && !refuses) {
      const refusedForMs = Math.round(performance.now() - this.#refusingSince);
      this.#log.info(
        { ...this.#figures(load), refusedForMs },
        'the queue has drained: writes are taken again',
      );
    }
  }

  #figures({ depth, memory }: QueueLoad): Record<string, unknown> {
    return {
      depth,
      highMark: this.#marks.high,
      lowMark: this.#marks.low,
      ...(memory ? { redisMemory: memory } : {}),
    };
  }

  #inWords({ depth, memory }: QueueLoad): string {
    const batches = `batches: ${total(depth)}, the mark is ${this.#marks.high}`;
    if (!memory) return batches;
    const [used, limit] = [memory.usedBytes, memory.limitBytes].map((bytes) => (bytes / MIB).toFixed(1));
    return `${batches}; Redis uses ${used} of ${limit} MiB`;
  }
}

function queueFull(seconds: number): ProblemError {
  const wait = seconds === 1 ? '1 second' : `${seconds} seconds`;
  return new ProblemError('queue_full', `the queue is full: try again in ${wait}`, {
    headers: { 'retry-after': String(seconds) },
  });
}
