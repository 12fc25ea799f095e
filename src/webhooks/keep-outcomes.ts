/** What a group of outcomes changes: the deliveries, and their endpoints where they tell something new of them. */
import type { Database } from '../store/database.ts';
import type { DisabledEndpoint, EndpointChange } from '../store/webhook-outcomes.ts';
import { changeEndpoints, recordOutcomes } from '../store/webhook-outcomes.ts';
import type { Outcome } from './outcome-writer.ts';

/**
 * Keeps outcomes: all of them, or nothing. Doing it again changes nothing.
 * @returns the endpoints that are disabled by it
 * @throws as `Database.query`
 */
export async function keepOutcomes(
  database: Database,
  outcomes: readonly Outcome[],
): Promise<DisabledEndpoint[]> {
  const deliveries = outcomes.map(({ delivery }) => delivery);
  const changes = endpointChanges(outcomes);
  if (changes.length === 0) {
    // One statement needs no transaction around it.
    await recordOutcomes(database, deliveries);
    return [];
  }
  return database.transaction(async (transaction) => {
    await recordOutcomes(transaction, deliveries);
    return changeEndpoints(transaction, changes);
  });
}

/** What outcomes tell of their endpoints. @param outcomes in the order in which they came */
export function endpointChanges(outcomes: readonly Outcome[]): EndpointChange[] {
  const changes = new Map<string, EndpointChange>();
  for (const { delivery, changesEndpoint, isGone, pauseMs } of outcomes) {
    if (!changesEndpoint) continue;
    const { endpointId, status } = delivery;
    const before = changes.get(endpointId);
    const succeeded = status === 'succeeded';
    changes.set(endpointId, {
      endpointId,
      recovered: succeeded || (before?.recovered ?? false),
      failing: !succeeded,
      gone: isGone || (before?.gone ?? false),
      pauseMs: Math.max(pauseMs, before?.pauseMs ?? 0),
    });
  }
  return [...changes.values()];
}
