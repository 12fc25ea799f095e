/**
 * Tasks: jobs that are nothing but an id. What there is to do stands in Postgres; the queue hands it out, to one
 * worker at a time, and again where that one dies.
 */
import type { Job } from 'bullmq';
import type { Backend } from './backend.ts';
import type { OnQueueError } from './bullmq-consumer.ts';
import { BullmqConsumer, JOB_OPTIONS } from './bullmq-consumer.ts';
import { OpenQueues } from './open-queues.ts';
import type { BatchConsumer, TaskHandler, TaskQueue } from './queue.ts';

const JOB_NAME = 'task';

/** Custom ids may not be whole numbers. */
const JOB_ID_PREFIX = 'task-';

/** Tasks have one line: that of the lane which goes by the queue's own name. */
const LANE = 'writes';

export function openTasks(backend: Backend, onError: OnQueueError): TaskQueue {
  const producer = backend.openProducer();
  const queues = new OpenQueues(producer, producer.createQueue, onError);
  return {
    async add(ids) {
      if (ids.length === 0) return;
      const jobs = ids.map((id) => ({
        name: JOB_NAME,
        data: {},
        opts: { ...JOB_OPTIONS, jobId: JOB_ID_PREFIX + id },
      }));
      await queues.call(LANE, (queue) => queue.addBulk(jobs));
    },
    async close() {
      await queues.close();
      await producer.close();
    },
  };
}

export function consumeTasks(
  backend: Backend,
  handler: TaskHandler,
  concurrency: number,
  onError: OnQueueError,
): BatchConsumer {
  const run = (job: Job, stopping: AbortSignal) =>
    handler((job.id ?? '').slice(JOB_ID_PREFIX.length), stopping);
  return new BullmqConsumer({ backend, lane: LANE, run, concurrency, onError });
}
