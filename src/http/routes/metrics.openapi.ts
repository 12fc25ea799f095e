/** `/metrics` in the API's document. */
import { z } from 'zod';
import type { Operations } from '../openapi/operation.ts';

const METRICS = `# HELP http_server_requests_total Requests by route and status.
# TYPE http_server_requests_total counter
http_server_requests_total{route="/v1/data/:namespace",status="202"} 1
`;

export const metricsOperations = {
  'GET /metrics': {
    id: 'getMetrics',
    tag: 'Service',
    summary: 'Metrics for Prometheus',
    description: 'Needs an API key with the scope `admin` where `INLET_METRICS_ACCESS` is `admin`.',
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
