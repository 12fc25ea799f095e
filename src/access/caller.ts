/** Who calls, and what that caller may do. */
import type { ApiKeyRights } from '../domain/api-key.ts';

/** What the ids of keys of the settings begin with; those of the database are made otherwise. */
export const SETTINGS_PREFIX = 'settings_';

/** The rights of its key, whose id is no secret. */
export interface Caller extends Omit<ApiKeyRights, 'namespaces' | 'expiresAt'> {
  readonly id: string;
  /** Undefined: all of them. */
  readonly namespaces: ReadonlySet<string> | undefined;
}

/** Whether a caller's key is one of the settings, which the operator has, and not one of the database. */
export function isOfSettings({ id }: Pick<Caller, 'id'>): boolean {
  return id.startsWith(SETTINGS_PREFIX);
}

/** Whether a caller may see a namespace at all. */
export function canSee({ namespaces }: Caller, namespace: string): boolean {
  return namespaces === undefined || namespaces.has(namespace);
}
