/** Requests and their results as JSON. Results are text, because stored data must not pass through JavaScript's numbers. */
import { isoFromMicros } from '../domain/time.ts';
import type { Result } from '../ingest/results.ts';
import type { RequestRecord } from '../store/requests.ts';

/** A request as it stands in lists. */
export function requestSummary(request: RequestRecord) {
  const { completedAt } = request;
  return {
    namespace: request.namespace,
    request_id: request.id,
    status: request.status,
    accepted_at: isoFromMicros(request.acceptedAt),
    stamp: request.stamp === undefined ? null : String(request.stamp),
    completed_at: completedAt === undefined ? null : isoFromMicros(completedAt),
    counts: {
      objects: request.objects,
      stored: request.stored,
      failed: request.failed,
    },
  };
}

/** @param url where the object is read */
export function resultText({ id, metadata, output, evaluationError }: Result, url: string): string {
  const error = evaluationError === undefined ? '' : `"evaluation_error":${JSON.stringify(evaluationError)},`;
  return `{"id":${JSON.stringify(id)},"output":${output},${error}"metadata":${metadata},"url":${JSON.stringify(url)}}`;
}
