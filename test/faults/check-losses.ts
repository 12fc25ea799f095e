/** What a disaster has taken is told, all of it where it can be known, and nothing is told where nothing was taken. */
import type { Findings } from './findings.ts';

export function checkLosses(findings: Findings): void {
  const named = new Set(findings.end.losses.flatMap(({ requestIds }) => requestIds));
  for (const operation of findings.history.operations) {
    // What isn't told at all is lost: it is found with the requests.
    if (!findings.isExcused(operation)) continue;
    const { client, requestId = '' } = operation;
    // A process that was told of it runs on, whatever else has happened since.
    const isRemembered = findings.disastersOf(operation).every(({ remembered }) => remembered);
    if (isRemembered && !named.has(requestId)) {
      findings.add(
        'lost and not named',
        `request ${requestId} of ${client} is not among those that are lost`,
      );
    }
  }
  for (const { cause, from, to } of findings.falseAlarms) {
    findings.add('false alarm', `${cause}: nothing was lost between ${from} and ${to} ms`);
  }
}
