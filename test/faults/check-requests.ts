/** Every acknowledged request is done, with the right counts, and what could not be stored is kept as failed. */
import { isDeepStrictEqual } from 'node:util';
import type { Findings } from './findings.ts';
import type { Operation, ToldRequest, Write } from './history.ts';

export function checkRequests(findings: Findings): void {
  const told = new Map(findings.end.told.requests.map((request) => [request.requestId, request]));
  for (const operation of findings.history.operations) {
    if (operation.outcome !== 'acknowledged') continue;
    const requestId = operation.requestId ?? '';
    if (findings.isExcused(operation)) continue;
    const row = findings.row(requestId);
    if (!row) {
      const { client, begunAt, endedAt } = operation;
      const when = `from ${Math.round(begunAt)} to ${Math.round(endedAt)} ms`;
      findings.add('lost', `request ${requestId} of ${client}, ${when}, has no row`);
      continue;
    }
    const expected = expectedOf(operation);
    const found = { status: row.status, objects: row.objects, failed: row.failed };
    if (!isDeepStrictEqual(found, expected)) {
      const detail = `${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`;
      findings.add('request', `${requestId} (${operation.kind}): ${detail}`);
    }
    const answer = told.get(requestId);
    if (answer) checkAnswer(findings, operation, answer);
  }
}

/**
 * A request that no client knows of is one of which the answer got lost and all was overtaken before it was stored; or an
 * import of which the URL never arrived. Each of those accounts for one.
 */
export function checkUnknownRequests(findings: Findings): void {
  const { history, end } = findings;
  const open = history.operations
    .filter((one) => one.outcome === 'unknown' && findings.requestIdOf(one) === undefined)
    .map(expectedOf);
  for (const { requestId, status, objects, failed } of end.requests) {
    if (findings.operationOf(requestId) || (status === 'queued' && objects === 0)) continue;
    const place = open.findIndex((expected) => isDeepStrictEqual(expected, { status, objects, failed }));
    if (place >= 0) open.splice(place, 1);
    else
      findings.add(
        'invented',
        `request ${requestId} (${status}, ${objects} objects, ${failed} failed): whose?`,
      );
  }
}

function expectedOf({ writes, badLines = [] }: Operation) {
  const failed = badLines.length + writes.filter(({ fails }) => fails).length;
  return {
    status: failed === 0 ? 'succeeded' : 'failed',
    objects: writes.length + badLines.length,
    failed,
  };
}

function checkAnswer(findings: Findings, operation: Operation, answer: ToldRequest): void {
  const { requestId, status, counts, ids, failedIndexes } = answer;
  const { objects, failed, ...expected } = expectedOf(operation);
  const right = { ...expected, counts: { objects, stored: objects - failed, failed } };
  if (!isDeepStrictEqual({ status, counts: { ...counts } }, right)) {
    findings.add('request', `${requestId}: the API says ${JSON.stringify({ status, counts })}`);
  }
  const listed = [...new Set(operation.writes.filter(({ fails }) => !fails).map(({ id }) => id))];
  if (ids && !isDeepStrictEqual([...ids], listed)) {
    findings.add('request', `${requestId}: its results are ${ids.join()} instead of ${listed.join()}`);
  }
  if (!isDeepStrictEqual([...failedIndexes], [...failing(operation).keys()])) {
    findings.add('request', `${requestId}: its errors name ${failedIndexes.join()}`);
  }
}

/** What failed writes are known by: their index, or their line. */
function failing({ writes, badLines = [] }: Operation): Map<number, Write | undefined> {
  const failed = writes.flatMap((write, index) =>
    write.fails ? [[write.line ?? index, write] as const] : [],
  );
  const bad = badLines.map((line) => [line, undefined] as const);
  return new Map([...failed, ...bad].sort(([a], [b]) => a - b));
}

/** What can't be stored is kept once, as it was sent; nothing else is. */
export function checkFailures(findings: Findings): void {
  const expected = new Map<string, Write | undefined>();
  for (const operation of findings.history.operations) {
    const requestId = findings.requestIdOf(operation);
    if (requestId === undefined) continue;
    for (const [index, write] of failing(operation)) expected.set(`${requestId} ${index}`, write);
  }
  const kept = new Set<string>();
  for (const { requestId, index, object, message } of findings.end.failures) {
    const key = `${requestId} ${index}`;
    if (kept.has(key)) findings.add('failed object', `${key} is kept twice`);
    kept.add(key);
    if (message === '') findings.add('failed object', `${key} has no reason`);
    const write = expected.get(key) ?? failingVersion(findings, object);
    if (!write) {
      if (!expected.has(key)) findings.add('failed object', `${key} should not have failed: ${message}`);
    } else if (!isDeepStrictEqual(JSON.parse(object), write.data)) {
      findings.add('failed object', `${key} is kept as ${object}`);
    }
  }
  for (const operation of findings.history.operations) {
    if (operation.outcome !== 'acknowledged' || findings.isExcused(operation)) continue;
    for (const index of failing(operation).keys()) {
      if (kept.has(`${operation.requestId} ${index}`)) continue;
      findings.add('lost', `${operation.requestId} ${index} is neither stored nor kept as failed`);
    }
  }
}

/** A write that was to fail, of an operation of which it isn't known under which request it was taken. */
function failingVersion(findings: Findings, object: string): Write | undefined {
  const v = /"v":"([^"]*)"/.exec(object)?.[1];
  const sent = findings.sent(v);
  return sent?.write.fails && sent.operation.outcome === 'unknown' ? sent.write : undefined;
}
