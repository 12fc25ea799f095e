/** What is stored was sent, by somebody who was not told that it was refused, under the request that says so. */
import { isDeepStrictEqual } from 'node:util';
import type { Findings } from './findings.ts';
import { lastWrite } from './findings.ts';
import type { Operation, StoredVersion } from './history.ts';

export function checkOrigins(findings: Findings): void {
  for (const version of [...findings.end.objects, ...findings.end.revisions]) checkOrigin(findings, version);
}

function checkOrigin(findings: Findings, version: StoredVersion): void {
  const { id, data, requestId, revision } = version;
  const label = `${id} revision ${revision} (${data?.v ?? 'deleted'}, ${requestId})`;
  const operation = data ? originOf(findings, version, label) : deleteBehind(findings, version);
  if (!operation) {
    findings.add('invented', `${label}: nobody has ${data ? 'sent' : 'deleted'} it`);
    return;
  }
  if (operation.outcome === 'refused') findings.add('refused but stored', `${label}: ${operation.answer}`);
  const known = findings.requestIdOf(operation);
  if (known === undefined) findings.assign(operation, requestId);
  else if (known !== requestId) findings.add('invented', `${label}: it was sent with ${known}`);
  const row = findings.row(requestId);
  if (!row) findings.add('request', `${label}: it is stored, and its request isn't there`);
  // The chunks of a file are stamped one after the other, and a file that is sent again is stamped anew.
  else if (operation.kind !== 'import' && row.acceptedAt !== version.acceptedAt) {
    findings.add('invented', `${label}: accepted at ${version.acceptedAt}, its request at ${row.acceptedAt}`);
  }
  const [stamp, own] = [version.order?.stamp, row?.order?.stamp];
  if (stamp === undefined || own === undefined) return;
  // Versions of an upload that broke off are older than that which took its place.
  if (operation.kind === 'import' ? stamp > own : stamp !== own) {
    findings.add('accepted out of order', `${label}: its stamp is ${stamp}, and that of its request ${own}`);
  }
}

function originOf(findings: Findings, { id, data }: StoredVersion, label: string): Operation | undefined {
  const sent = findings.sent(data?.v);
  if (!sent) return undefined;
  const { operation, write } = sent;
  if (write.id !== id || !isDeepStrictEqual(write.data, data)) {
    findings.add('invented', `${label}: it was sent as ${JSON.stringify(write.data)}`);
  }
  if (write.fails) findings.add('failed object', `${label}: it should have failed`);
  // Of a file an earlier line may be stored with its chunk before the chunk with the later one.
  if (operation.kind !== 'import' && lastWrite(operation, id) !== write) {
    findings.add('went back', `${label}: its request has a later version of the same id`);
  }
  return operation;
}

/** The delete of a version without data: named by its request, or one of which it isn't known what came of it. */
function deleteBehind(findings: Findings, { id, requestId }: StoredVersion): Operation | undefined {
  const deletes = (operation: Operation): boolean =>
    operation.writes.some((write) => write.id === id && !write.data);
  const known = findings.operationOf(requestId);
  if (known) return deletes(known) ? known : undefined;
  const open = findings.history.operations.filter(
    (operation) =>
      operation.outcome !== 'acknowledged' &&
      findings.requestIdOf(operation) === undefined &&
      deletes(operation),
  );
  // Of one that was refused only where no other is left.
  const unknown = open.filter(({ outcome }) => outcome === 'unknown');
  const [found, ...others] = unknown.length > 0 ? unknown : open;
  if (found && others.length > 0) findings.doubt(found);
  return found;
}
