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
      description: 'Whether writes are taken. While only they are refused the process is ready all the same.',
    }),
    warnings: z.array(z.string()).min(1).optional().meta({
      description:
        'What makes the queue less durable than an acknowledgement promises, and why writes are refused.',
    }),
  }),
  'Whether the process can take work, and how the parts are that it needs.',
);

export const healthOperations = {
  'GET /healthz': {
    id: 'getHealth',
    tag: 'Service',
    summary: 'Whether the process is alive',
    description: 'Answers as long as the process does.',
    access: 'open',
    answers: {
      200: {
        description: 'It is alive.',
        content: json(
          named('Health', z.strictObject({ status: z.literal('ok') }), 'The process is alive.'),
          'Alive',
          { status: 'ok' },
        ),
      },
    },
  },

  'GET /readyz': {
    id: 'getReadiness',
    tag: 'Service',
    summary: 'Whether the process can take work',
    description: 'With its queue on Redis, the API takes writes also while the database is down.',
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
} satisfies Operations;
