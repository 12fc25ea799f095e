/** Under each id stands the version that was accepted last, and its history has every version once, in order. */
import type { Findings } from './findings.ts';
import { compareRanks, groupBy, lastWrite } from './findings.ts';
import type { Observation, Operation, StoredVersion } from './history.ts';

export function checkObjects(findings: Findings): void {
  const { history, end } = findings;
  const current = new Map(end.objects.map((object) => [object.id, object]));
  const former = groupBy(end.revisions, ({ id }) => id);
  const seen = groupBy(history.observations, ({ id }) => id);
  const writers = new Map<string, Set<Operation>>();
  for (const operation of history.operations) {
    for (const { id, fails } of operation.writes) {
      if (!fails) writers.set(id, (writers.get(id) ?? new Set()).add(operation));
    }
  }
  for (const id of new Set([...writers.keys(), ...current.keys(), ...former.keys(), ...seen.keys()])) {
    const found = current.get(id);
    const object = found && findings.rankOfVersion(found);
    const versions = (former.get(id) ?? []).map((version) => findings.rankOfVersion(version));
    if (object) versions.push(object);
    versions.sort((a, b) => a.revision - b.revision);
    for (const operation of writers.get(id) ?? []) checkCurrent(findings, id, object, operation);
    checkVersions(findings, id, versions);
    checkObservations(findings, id, versions, seen.get(id) ?? []);
  }
}

/** What was acknowledged is there, or something that was accepted later. */
function checkCurrent(
  findings: Findings,
  id: string,
  object: StoredVersion | undefined,
  operation: Operation,
): void {
  if (operation.outcome !== 'acknowledged' || findings.isExcused(operation)) return;
  const label = `${id}: the write of ${operation.requestId} (${operation.client})`;
  if (!object) {
    findings.add('lost', `${label} is not there`);
    return;
  }
  const rank = findings.rankOf(operation);
  if (!rank) return; // told with the requests
  if (compareRanks(object, rank) < 0) {
    findings.add('lost', `${label} is not there; instead there is the older one of ${object.requestId}`);
  } else if (object.requestId === rank.requestId) {
    const wanted = lastWrite(operation, id)?.data?.v;
    if (wanted !== object.data?.v) {
      findings.add(
        'lost',
        `${label} is ${wanted ?? 'a delete'}, and there is ${object.data?.v ?? 'a delete'}`,
      );
    }
  }
}

/** Revisions are numbered without gaps, each was accepted later than the one before, and none is there twice. */
function checkVersions(findings: Findings, id: string, versions: readonly StoredVersion[]): void {
  const places = new Map<string, StoredVersion>();
  for (const [i, version] of versions.entries()) {
    if (version.revision !== i + 1) {
      findings.add('history', `${id}: revision ${version.revision} stands where ${i + 1} should`);
      return;
    }
    const before = versions[i - 1];
    if (before && compareRanks(before, version) >= 0) {
      const detail = `is older than the one before, of ${before.requestId}`;
      findings.add('went back', `${id}: revision ${version.revision} of ${version.requestId} ${detail}`);
    }
    const v = version.data?.v;
    if (v === undefined) continue;
    const other = places.get(v);
    // A file that was uploaded again counts as accepted later, and so as other writes.
    const isAgain = findings.sent(v)?.operation.kind === 'import' && other?.acceptedAt !== version.acceptedAt;
    if (other && !isAgain) {
      findings.add('history', `${id}: ${v} is there twice, as ${other.revision} and ${version.revision}`);
    }
    places.set(v, version);
  }
}

/** What a reader has seen is in the history where it was seen, and was never followed by something older. */
function checkObservations(
  findings: Findings,
  id: string,
  versions: readonly StoredVersion[],
  seen: readonly Observation[],
): void {
  let latest = 0;
  for (const { revision, v, requestId } of seen) {
    if (revision < latest) findings.add('went back', `${id}: read as ${latest} and then as ${revision}`);
    latest = revision;
    const version = versions[revision - 1];
    if (version?.data?.v !== v) {
      const there = version?.data?.v ?? 'something else';
      findings.add('history', `${id}: revision ${revision} was read as ${v} (${requestId}), and is ${there}`);
    }
  }
}
