/**
 * The history checker: compares what clients were told with what is there at the end, and says what must not be.
 *
 * What it relies on: versions are unique, so a stored version tells which operation wrote it; and the order in which the
 * server has accepted requests is known from their rows, so what has to be stored under an id is known exactly.
 */
import { checkLosses } from './check-losses.ts';
import { checkObjects } from './check-objects.ts';
import { checkOrder } from './check-order.ts';
import { checkOrigins } from './check-origins.ts';
import { checkReads } from './check-reads.ts';
import { checkFailures, checkRequests, checkUnknownRequests } from './check-requests.ts';
import type { Finding } from './findings.ts';
import { Findings } from './findings.ts';
import type { EndState, History } from './history.ts';

/** Says what contradicts the promises; nothing where all of them were kept. */
export function check(history: History, end: EndState): readonly Finding[] {
  const findings = new Findings(history, end);
  for (const complaint of history.complaints) findings.add('answer', complaint);
  if (end.leftInQueue > 0) findings.add('left over', `${end.leftInQueue} batches are in the queue`);
  // First, because it finds out which requests those operations are whose answer got lost.
  checkOrigins(findings);
  checkRequests(findings);
  checkUnknownRequests(findings);
  checkFailures(findings);
  checkLosses(findings);
  checkOrder(findings);
  checkObjects(findings);
  checkReads(findings);
  return findings.list;
}
