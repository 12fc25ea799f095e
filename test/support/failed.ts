/** Failed objects in tests, over HTTP. */
import type { TestInlet } from './inlet.ts';

interface FailedAnswer {
  readonly request_id: string;
  readonly index: number;
  readonly id: string;
  readonly operation: string;
  readonly message: string;
  readonly sqlstate: string | null;
  readonly replayable: boolean;
  readonly attempts: number;
  readonly bytes: number;
  readonly accepted_at: string;
  readonly failed_at: string;
}

export interface FailedPage {
  readonly data: readonly FailedAnswer[];
  readonly next_cursor: string | null;
}

export interface ReplayAnswer {
  readonly objects: number;
  readonly not_replayable: number;
  readonly order: string;
  readonly requested_at: string;
}

/** The failed objects of a namespace; one page of them. */
export async function listFailed(inlet: TestInlet, namespace: string, query = ''): Promise<FailedPage> {
  const response = await inlet.fetch(`/v1/data/${namespace}/failed?${query}`);
  if (response.status !== 200) throw new Error(`expected 200, got ${response.status}`);
  return (await response.json()) as FailedPage;
}

/** The indexes of a namespace's failed objects in the order of the list. */
export async function failedIndexes(inlet: TestInlet, namespace: string): Promise<number[]> {
  return (await listFailed(inlet, namespace)).data.map(({ index }) => index);
}

/** Calls something below a namespace's failed objects. */
export function callFailed(
  inlet: TestInlet,
  method: string,
  namespace: string,
  rest: string,
  body?: object,
): Promise<Response> {
  return inlet.fetch(`/v1/data/${namespace}/failed${rest}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** Replays, and throws unless that is accepted. @param rest '/replay', or the place of one object and `/replay` */
export async function replay(
  inlet: TestInlet,
  namespace: string,
  rest: string,
  body?: object,
): Promise<ReplayAnswer> {
  const response = await callFailed(inlet, 'POST', namespace, rest, body);
  const text = await response.text();
  if (response.status !== 202) throw new Error(`expected 202, got ${response.status}: ${text}`);
  return JSON.parse(text) as ReplayAnswer;
}
