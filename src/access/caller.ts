/** Who calls, and what that caller may do. */
import type { ApiKeyRights } from '../domain/api-key.ts';

/** The rights of its key, whose id is no secret. */
export interface Caller extends Omit<ApiKeyRights, 'namespaces' | 'expiresAt'> {
  readonly id: string;
  /** Undefined: all of them. */
  readonly namespaces: ReadonlySet<string> | undefined;
}

/** Whether a caller may see a namespace at all. */
export function canSee({ namespaces }: Caller, namespace: string): boolean {
  return namespaces === undefined || namespaces.has(namespace);
}
