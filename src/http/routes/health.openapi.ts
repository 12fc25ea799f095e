/** `/healthz` and `/readyz` in the API's document. */
import { z } from 'zod';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { named } from '../openapi/schemas.ts';

const PART = z.enum(['up', 'down']);

const readiness = named(
  'Readiness',
  z.strictObject({
    status: z.enum(['ready', 'not_ready']),
    queue: PART,
    store: PART.meta({ description: 'The database.' }),
    writes: z.enum(['accepted', 'refused']).optional().meta({
      description:
        'Whether writes are taken. While they are refused because the queue is full, with 503 and `Retry-After`, the process is ready all the same.',
    }),
    warnings: z.array(z.string()).min(1).optional().meta({
      description:
        'Acknowledged writes that may be lost, what makes the queue less durable than an acknowledgement promises, why writes are refused, and that the process is about to stop.',
    }),
  }),
  'Whether the process can take work, and how the parts are that it needs.',
);

export const healthOperations = {
  'GET /healthz': {
    id: 'getHealth',
    tag: 'Service',
    summary: 'Whether the process makes progress',
    description: 'That the queue or the database is away does not count.',
    access: 'open',
    answers: {
      200: {
        description: 'It does.',
        content: json(
          named('Health', z.strictObject({ status: z.literal('ok') }), 'The process makes progress.'),
          'Alive',
          { status: 'ok' },
        ),
      },
      503: {
        description: 'Its worker is stuck, and only a restart helps.',
        content: json(
          named(
            'Stuck',
            z.strictObject({
              status: z.literal('stuck'),
              problem: z.string().meta({ description: 'What is wrong with the worker.' }),
            }),
            'The worker has stopped making progress.',
          ),
          'Stuck',
          {
            status: 'stuck',
            problem:
              'batches of the lane writes wait, and for 130 s none was taken though there is room for one',
          },
        ),
      },
    },
  },

  'GET /readyz': {
    id: 'getReadiness',
    tag: 'Service',
    summary: 'Whether writes get through',
    description:
      'Goes by what became of the last writes, and where there were none tries one. With its queue on Redis, the API takes writes also while the database is down.',
    access: 'open',
    answers: {
      200: {
        description: 'It can take work.',
        content: json(readiness, 'Ready', { status: 'ready', queue: 'up', store: 'up', writes: 'accepted' }),
      },
      503: {
        description: 'It cannot.',
        content: json(readiness, 'Not ready', {
          status: 'not_ready',
          queue: 'down',
          store: 'up',
          writes: 'refused',
        }),
      },
    },
  },

  'GET /readyz/reads': {
    id: 'getReadReadiness',
    tag: 'Service',
    summary: 'Whether objects can be read',
    description: 'For a load balancer that sends reads elsewhere than writes.',
    access: 'open',
    answers: {
      200: {
        description: 'They can.',
        content: json(readiness, 'Ready', { status: 'ready', queue: 'down', store: 'up', writes: 'refused' }),
      },
      503: {
        description: 'They cannot.',
        content: json(readiness, 'Not ready', {
          status: 'not_ready',
          queue: 'up',
          store: 'down',
          writes: 'accepted',
        }),
      },
    },
  },
} satisfies Operations;
