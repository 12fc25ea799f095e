/** `/metrics` in the API's document. */
import { z } from 'zod';
import type { Operations } from '../openapi/operation.ts';

const METRICS = `# HELP inlet_refused_writes_total Writes that were refused though there was nothing wrong with them, to be sent again later.
# TYPE inlet_refused_writes_total counter
inlet_refused_writes_total{reason="queue_full"} 0
`;

export const metricsOperations = {
  'GET /metrics': {
    id: 'getMetrics',
    tag: 'Service',
    summary: 'Metrics for Prometheus',
    description:
      'Made anew at most once a second. Needs an API key with the scope `admin` unless the server listens on a loopback address, or ' +
      '`INLET_METRICS_ACCESS` is `open`.',
    access: 'metrics',
    answers: {
      200: {
        description: "The metrics in Prometheus's text format.",
        content: {
          'text/plain': {
            schema: z.string(),
            examples: { example: { summary: 'One metric', value: METRICS } },
          },
        },
      },
    },
  },
} satisfies Operations;
