/** Who calls, and what that caller may do. */
import type { Scope } from '../domain/api-key.ts';

export interface Caller {
  /** The key's id, which is no secret. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Undefined: all of them. */
  readonly namespaces: ReadonlySet<string> | undefined;
  /** Requests for each second; undefined: no limit. */
  readonly requestRate: number | undefined;
  /** Written objects for each second; undefined: no limit. */
  readonly objectRate: number | undefined;
}

/** Whether a caller may see a namespace at all. */
export function canSee({ namespaces }: Caller, namespace: string): boolean {
  return namespaces === undefined || namespaces.has(namespace);
}
