/**
 * Every answer that a test gets over `fetch` from an Inlet is checked against the API's document. A setup file of vitest
 * puts this under all tests, so that none has to ask for it, and none can go around it.
 */
import type { Answer } from './document.ts';
import { differences, operationOf } from './document.ts';

const origins = new Set<string>();
const found: string[] = [];
const exercised = new Map<string, Set<number>>();

/** Begins anew for a file of tests: files share this module. */
export function forgetAnswers(): void {
  origins.clear();
  found.length = 0;
  exercised.clear();
}

/** From now on the answers of the server at `url` are checked. */
export function checkAnswersOf(url: string): void {
  origins.add(new URL(url).origin);
}

/** What was found so far in this file's tests. */
export function foundDifferences(): readonly string[] {
  return found;
}

/** The statuses that an operation has answered with so far in this file's tests. */
export function exercisedStatuses(operationId: string): ReadonlySet<number> {
  return exercised.get(operationId) ?? new Set();
}

/** Checks an answer, however it came. @throws Error that names the differences */
export function checkAnswer(answer: Answer): void {
  const { method, path, status } = answer;
  const operation = operationOf(method, path);
  if (operation) exercised.set(operation, new Set([...(exercised.get(operation) ?? []), status]));
  const mistakes = differences(answer);
  if (mistakes.length === 0) return;
  const message = `${method} ${path.slice(0, 200)}, ${status}: ${mistakes.slice(0, 5).join('; ')}`;
  found.push(message);
  throw new Error(`the answer is not as the document says: ${message}`);
}

/** `fetch` that checks what it gets. */
export function checkedFetch(plainFetch: typeof fetch): typeof fetch {
  return async (input, init) => {
    const response = await plainFetch(input, init);
    const { origin, pathname, search } = new URL(input instanceof Request ? input.url : input);
    // The pages of the document are no part of it, nor is where they lead.
    if (!origins.has(origin) || response.redirected || /^\/docs(?:\/|$)/.test(pathname)) return response;
    const { status, headers } = response;
    const method = (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase();
    checkAnswer({ method, path: pathname + search, status, headers, body: await readCopy(response) });
    return response;
  };
}

/** The body, which the test can still read; undefined where it is a file, or breaks off, as the test will see. */
async function readCopy(response: Response): Promise<string | undefined> {
  if (response.headers.get('content-type')?.startsWith('application/x-ndjson')) return undefined;
  return response
    .clone()
    .text()
    .catch(() => undefined);
}
