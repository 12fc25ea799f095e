/** The API tells what is in the database. */
import { isDeepStrictEqual } from 'node:util';
import type { Findings } from './findings.ts';

export function checkReads(findings: Findings): void {
  const stored = new Map(findings.end.objects.map((object) => [object.id, object]));
  for (const told of findings.end.told.objects) {
    const { order: _, ...object } = stored.get(told.id) ?? {};
    if (!isDeepStrictEqual(told, object)) {
      findings.add('reads differ', `${JSON.stringify(told)} instead of ${JSON.stringify(object)}`);
    }
    stored.delete(told.id);
  }
  for (const { id, data } of stored.values()) {
    if (data) findings.add('reads differ', `${id} is not listed`);
  }
}
